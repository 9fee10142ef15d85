"""What every task has in common: a request says which answer it gets, and which of its fields exclude each other."""

from typing import Any, ClassVar, Generic, Self, TypeVar, cast, get_args

from concord_client.tasks.fields import Declared, TensorField, Tensors


class Answer(Declared):
    """Base of the answers."""

    @classmethod
    def of(cls, tensors: Tensors) -> Self:
        """Reads the tensors of an answer; raises `ServerError` where a required one is missing."""
        return cls(**{field.name: field.read(tensors) for field in cls.fields()})


A = TypeVar("A", bound=Answer, covariant=True)


class Request(Declared, Generic[A]):
    """Base of the requests.

    Attributes:
        TASK: its name, which pipelines declare in their configuration.
        ONE_OF: names of fields of which exactly one is to be given, in groups.
        SCALE: how many times as wide and as high as the image of a request that of its answer is.

    Raises:
        ValueError: none, or more than one, of a group is given.
    """

    TASK: ClassVar[str]
    ONE_OF: ClassVar[tuple[tuple[str, ...], ...]] = ()
    SCALE: ClassVar[int] = 1

    def __post_init__(self) -> None:
        for names in self.ONE_OF:
            if sum(getattr(self, name) is not None for name in names) != 1:
                raise ValueError(f"give either {' or '.join(f'a {name}' for name in names)}")

    @classmethod
    def answer_type(cls) -> type[A]:
        """The class of its answer."""
        (answer,) = get_args(cast(Any, cls).__orig_bases__[0])
        return cast(type[A], answer)

    @classmethod
    def about(cls) -> str:
        """What the task does, in one sentence."""
        return (cls.__doc__ or "").partition("\n")[0]

    def given(self) -> tuple[TensorField, ...]:
        """The fields that are given."""
        return tuple(field for field in self.fields() if getattr(self, field.name) is not None)
