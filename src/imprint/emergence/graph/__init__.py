"""graph: what causes abilities. Hypotheses as a typed graph, tested by interventions on training, refined by what they did.

causal_graph  CausalGraph, Node, Edge: a directed acyclic graph in time tiers
hypotheses    the graph from a YAML file
observations  one value a run and node, arms paired with untouched runs by seed and scale
edge_tests    the effect of every node that an arm sets on every later node, corrected as one family
refinement    supported, dropped, undecided and added edges, each with its reason
drawing       coordinates for a picture
taxonomy      abilities that are moved by the same things
sem, dynamic  structural models along the graph, where single interventions leave edges open
discovery     causal discovery and sortability baselines; a cross-check that decides nothing
"""

from imprint.emergence.graph.causal_graph import CausalGraph, Edge, Node
from imprint.emergence.graph.discovery import CrossCheck, cross_check
from imprint.emergence.graph.drawing import drawing
from imprint.emergence.graph.dynamic import DynamicModel, fit_dynamic
from imprint.emergence.graph.edge_effects import EdgeEffect, ScaleEffect
from imprint.emergence.graph.edge_test import EdgeTest, Manipulation
from imprint.emergence.graph.edge_tests import EdgeFindings, test_edges
from imprint.emergence.graph.hypotheses import read_graph
from imprint.emergence.graph.observations import CONTROL, Observations, Pairs
from imprint.emergence.graph.refinement import RefinedEdge, RefinedGraph, refine
from imprint.emergence.graph.sem import PathEffect, StructuralModel, fit_sem
from imprint.emergence.graph.taxonomy import Taxonomy, taxonomy

__all__ = [
    "CONTROL",
    "CausalGraph",
    "CrossCheck",
    "DynamicModel",
    "Edge",
    "EdgeEffect",
    "EdgeFindings",
    "EdgeTest",
    "Manipulation",
    "Node",
    "Observations",
    "Pairs",
    "PathEffect",
    "RefinedEdge",
    "RefinedGraph",
    "ScaleEffect",
    "StructuralModel",
    "Taxonomy",
    "cross_check",
    "drawing",
    "fit_dynamic",
    "fit_sem",
    "read_graph",
    "refine",
    "taxonomy",
    "test_edges",
]
