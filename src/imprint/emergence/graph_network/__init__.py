"""graph_network: does knowing which component or task speaks to which ability improve a prediction? It needs the extra `graph`.

run_graph    runs with what was seen in them and what is asked
kinship      edges from a refined graph or shared keywords, complete, or shuffled
network      one round of messages along the edges, by torch-geometric
gain         the same network with the graph, hearing everything, hearing nothing, and with shuffled edges
curve_graph  questions about curves, with other tasks at the origin as evidence
"""

from imprint.emergence.graph_network.curve_graph import curve_graph
from imprint.emergence.graph_network.gain import GraphGain, compare, four_answers, graph_gain
from imprint.emergence.graph_network.kinship import ancestral, complete, nearest_kin, shuffled
from imprint.emergence.graph_network.network import EmergenceNetwork, NetworkSettings, fit_network
from imprint.emergence.graph_network.run_graph import RunGraph

__all__ = [
    "EmergenceNetwork",
    "GraphGain",
    "NetworkSettings",
    "RunGraph",
    "ancestral",
    "compare",
    "complete",
    "curve_graph",
    "fit_network",
    "four_answers",
    "graph_gain",
    "nearest_kin",
    "shuffled",
]
