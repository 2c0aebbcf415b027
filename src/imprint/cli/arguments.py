"""Types of numeric options: what they accept is checked before anything is imported, read or written."""

from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

Count = Annotated[int, Parameter(validator=Number(gte=1))]
Rows = Annotated[int, Parameter(validator=Number(gte=4))]
"""Four rows are the fewest that an interval or a curvature is estimated from."""
Context = Annotated[int, Parameter(validator=Number(gte=8))]
"""In tokens; eight are the fewest that a row of text may have."""
Damping = Annotated[float, Parameter(validator=Number(gte=0))]
Models = Annotated[int, Parameter(validator=Number(gte=0))]
Shots = Annotated[int, Parameter(validator=Number(gte=0))]
"""Worked examples in a prompt."""
MinSamples = Annotated[int, Parameter(validator=Number(gte=2))]
Tokens = Annotated[int, Parameter(validator=Number(gte=100))]
"""A hundred tokens are the fewest that density says something about."""
Share = Annotated[float, Parameter(validator=Number(gt=0, lte=1))]
