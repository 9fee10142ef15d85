"""What accounts are for."""

from typing import Literal, get_args

Role = Literal["user", "annotator", "administrator"]
ROLES: tuple[Role, ...] = get_args(Role)
USER: Role = "user"
ADMINISTRATOR: Role = "administrator"
