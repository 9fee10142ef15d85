"""The tasks: one file each, which says what a request holds and what its answer does.

Clients, command line, facade and documentation are made from these classes.
"""

from typing import Any

from concord_client.tasks.edit import Edit
from concord_client.tasks.generate import Generate
from concord_client.tasks.harmonize import Harmonize
from concord_client.tasks.inpaint import Inpaint
from concord_client.tasks.request import Request
from concord_client.tasks.segment import Segment
from concord_client.tasks.select import Select
from concord_client.tasks.upscale import Upscale

TASKS: tuple[type[Request[Any]], ...] = (Harmonize, Segment, Select, Inpaint, Edit, Generate, Upscale)
