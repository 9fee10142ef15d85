"""Pipelines say in their configuration what they are; the catalogue says which of them answers a request."""

import numpy as np
import pytest

from concord_client.catalogue import Catalogue, Part, Pipeline
from concord_client.errors import InvalidDeclaration, InvalidInput, ModelNotFound
from concord_client.settings import Setting


def tensor(name, datatype="TYPE_STRING", **more):
    return {"name": name, "data_type": datatype, "dims": ["1"], **more}


def config(name="paint", *inputs, decoupled=False, outputs=(), **parameters):
    """A configuration as Triton's gRPC and HTTP give it."""
    parameters = {"task": "harmonize", "model": "painter"} | parameters
    return {
        "name": name,
        "input": list(inputs) or [tensor("IMAGE"), tensor("MASK")],
        "output": list(outputs) or [tensor("HARMONIZED")],
        "parameters": {key.replace("__", "."): {"string_value": value} for key, value in parameters.items()},
        "model_transaction_policy": {"decoupled": decoupled},
    }


def test_a_model_without_a_task_is_not_public():
    assert Pipeline.of({"name": "decode", "parameters": {"x": {"string_value": "1"}}}) is None
    assert Pipeline.of({"name": "unet"}) is None


def test_a_pipeline_is_read_from_its_configuration():
    steps = tensor("STEPS", "TYPE_INT32", optional=True)
    timeout = tensor("TIMEOUT", "TYPE_FP32", optional=True)
    text = tensor("TEXT", optional=True)
    given = config(
        "loop", tensor("IMAGE"), text, steps, timeout, decoupled=True, rank="7", concurrency="4",
        deadline_seconds="600", part__unet="my_unet", part__segment="segment; TEXT", setting__STEPS="5; 1..50; steps",
        outputs=(tensor("STEP"), tensor("TOTAL"), tensor("HARMONIZED")),
    )  # fmt: skip
    found = Pipeline.of(given)
    assert (found.task, found.model, found.rank, found.concurrency, found.deadline) == (
        "harmonize", "painter", 7, 4, 600
    )  # fmt: skip
    assert (found.required, found.optional, found.has_deadline) == ({"IMAGE"}, {"TEXT"}, True)
    assert found.streams and found.has_steps and found.outputs == ("STEP", "TOTAL", "HARMONIZED")
    assert found.settings["STEPS"] == Setting("STEPS", "TYPE_INT32", 5, 1, 50, (), "steps")
    assert found.parts == {"unet": Part("unet", "my_unet"), "segment": Part("segment", "segment", "TEXT")}
    assert found.models() == {"my_unet"}


@pytest.mark.parametrize(
    ("datatype", "text", "value", "refused"),
    [
        ("TYPE_INT32", "5; 1..50; steps", 50, 51),
        ("TYPE_INT32", "5; 1..50; steps", 5.0, 10**400),
        ("TYPE_INT32", "5; 1..50; steps", 1, float("inf")),
        ("TYPE_INT64", "; 0..9223372036854775807; seed", 2**63 - 1, -1),
        ("TYPE_INT32", "256; 256|512; side", 512, 300),
        ("TYPE_FP32", "0.5; 0.0..1.0; strength", 1, 1.5),
        ("TYPE_FP32", "; ; strength", 0.5, 10**400),
        ("TYPE_FP32", "; ; strength", 0.5, float("nan")),
        ("TYPE_BOOL", "false; false|true; refine", True, 1),
        ("TYPE_STRING", "plain; plain|harmony; decoder", "harmony", "best"),
        ("TYPE_STRING", "; ; any words", "ü", 3),
    ],
)
def test_a_setting_allows_what_it_declares_and_says_so(datatype, text, value, refused):
    setting = Setting.parse("NAME", datatype, text)
    assert setting.check(value) == value and Setting.parse("NAME", datatype, setting.written()) == setting
    with pytest.raises(InvalidInput) as error:
        setting.check(refused)
    assert (error.value.code, error.value.field) == ("invalid_setting", "NAME")
    assert error.value.allowed == setting.allowed


@pytest.mark.parametrize(
    ("datatype", "value", "expected"),
    [
        ("TYPE_INT32", 99, np.int32(99)),
        ("TYPE_INT64", 2**62, np.int64(2**62)),
        ("TYPE_BOOL", True, np.bool_(True)),
        ("TYPE_FP32", 0.5, np.float32(0.5)),
        ("TYPE_STRING", "ü", "ü".encode()),
    ],
)
def test_a_value_is_sent_in_the_type_of_its_tensor_whatever_the_range(datatype, value, expected):
    sent = Setting.parse("NAME", datatype, "").tensor(value)
    assert sent == expected and type(sent) is type(expected)


@pytest.mark.parametrize(("datatype", "value"), [("TYPE_INT32", 2**31), ("TYPE_INT32", "5"), ("TYPE_BOOL", 1)])
def test_a_value_that_its_tensor_cannot_hold_is_refused(datatype, value):
    with pytest.raises(InvalidInput, match="NAME"):
        Setting.parse("NAME", datatype, "").tensor(value)


@pytest.mark.parametrize(
    ("parameters", "key"),
    [
        ({"setting__MASK": "many; 1..50"}, "setting.MASK"),
        ({"setting__NOWHERE": "5; 1..50"}, "setting.NOWHERE"),
        ({"task": "two words"}, "task"),
        ({"model": ""}, "model"),
        ({"rank": "first"}, "rank"),
        ({"concurrency": "0"}, "concurrency"),
        ({"deadline_seconds": "never"}, "deadline_seconds"),
        ({"part__unet": ""}, "part.unet"),
        ({"part__unet": "unet; "}, "part.unet"),
        ({"part__unet": "unet; NOWHERE=1"}, "part.unet"),
    ],
)
def test_a_declaration_that_cannot_be_read_names_pipeline_and_parameter(parameters, key):
    with pytest.raises(InvalidDeclaration) as error:
        Pipeline.of(config("paint", tensor("IMAGE"), tensor("MASK", "TYPE_INT32"), **parameters))
    assert (error.value.pipeline, error.value.key) == ("paint", key) and error.value.allowed


def test_a_client_leaves_out_what_it_cannot_read():
    newer = config("newer", tensor("IMAGE"), tensor("LEVEL", "TYPE_FP64"), model="newer", setting__LEVEL="1; 0..2")
    assert Catalogue.of([config("one"), newer], readable=True).models("harmonize") == ("painter",)
    with pytest.raises(InvalidDeclaration, match="newer"):
        Catalogue.of([config("one"), newer])


def test_two_pipelines_that_claim_the_same_are_refused_by_name():
    with pytest.raises(InvalidDeclaration, match=r"(?s)two.*one|one.*two"):
        Catalogue.of([config("one"), config("two")])
    Catalogue.of([config("one"), config("two", tensor("IMAGE"), tensor("TEXT"))])


def catalogue():
    image, mask, text = tensor("IMAGE"), tensor("MASK"), tensor("TEXT")
    both = (image, tensor("MASK", optional=True), tensor("TEXT", optional=True))
    return Catalogue.of(
        [
            config("loop", *both, decoupled=True, model="slow", rank="30"),
            config("loop_once", *both, model="slow", rank="30"),
            config("by_mask", image, mask, model="fast", rank="10"),
            config("by_text", image, text, model="fast", rank="10"),
            config("only_mask", image, mask, model="another", rank="20"),
        ]
    )


@pytest.mark.parametrize(
    ("model", "given", "streams", "expected"),
    [
        (None, {"IMAGE", "MASK"}, True, "by_mask"),
        ("fast", {"IMAGE", "TEXT"}, True, "by_text"),
        ("slow", {"IMAGE", "TEXT"}, True, "loop"),
        ("slow", {"IMAGE", "TEXT"}, False, "loop_once"),
        ("another", {"IMAGE", "MASK"}, False, "only_mask"),
    ],
)
def test_the_pipeline_follows_from_model_inputs_and_protocol(model, given, streams, expected):
    assert catalogue().choose("harmonize", model, given, streams=streams).name == expected


def test_the_first_model_by_rank_is_the_default():
    assert catalogue().models("harmonize") == ("fast", "another", "slow")


def test_an_unknown_model_is_refused_with_those_there_are():
    with pytest.raises(ModelNotFound, match="it has fast, another, slow"):
        catalogue().choose("harmonize", "unknown", {"IMAGE", "MASK"}, streams=True)
    with pytest.raises(ModelNotFound, match="'paint'"):
        catalogue().choose("paint", None, {"TEXT"}, streams=True)


def test_inputs_that_a_model_does_not_take_are_refused_with_those_it_takes():
    with pytest.raises(InvalidInput) as error:
        catalogue().choose("harmonize", "another", {"IMAGE", "TEXT"}, streams=True)
    assert (error.value.field, error.value.allowed) == ("TEXT", "IMAGE + MASK")


def test_a_server_without_an_optional_part_does_not_offer_what_needs_it():
    decoder = tensor("DECODER", optional=True)
    refine = tensor("REFINE", "TYPE_BOOL", optional=True)
    declared = config(
        "loop", tensor("IMAGE"), tensor("MASK"), tensor("TEXT", optional=True), decoder, refine,
        part__segment="segment; TEXT", part__sharp="sharp_vae; DECODER=sharp", part__refiner="refiner; REFINE=true",
        setting__DECODER="plain; plain|sharp;", setting__REFINE="false; false|true;",
    )  # fmt: skip
    [bare] = Catalogue.of([declared], ["loop"]).pipelines
    assert not bare.optional
    assert bare.settings["DECODER"].choices == ("plain",) and bare.settings["REFINE"].choices == (False,)
    [whole] = Catalogue.of([declared], ["loop", "segment", "sharp_vae", "refiner"]).pipelines
    assert whole.optional == {"TEXT"} and whole.settings["REFINE"].choices == (False, True)


@pytest.mark.parametrize(
    ("gate", "choices"),
    [
        ("passed: 8 scenes 40.0 dB", ("plain", "fast")),
        ("failed: 8 scenes 20.0 dB", ("plain",)),
        ("not made", ("plain",)),
        ("", ("plain",)),
    ],
)
def test_a_part_with_a_gate_is_offered_where_it_has_passed_and_else_the_refusal_says_why_not(gate, choices):
    declared = config(
        "loop", tensor("IMAGE"), tensor("MASK"), tensor("DECODER", optional=True),
        part__fast="fast_vae; DECODER=fast", gate__fast=gate, setting__DECODER="plain; plain|fast;",
    )  # fmt: skip
    [pipeline] = Catalogue.of([declared], ["loop", "fast_vae"]).pipelines
    setting = pipeline.settings["DECODER"]
    assert setting.choices == choices
    if len(choices) == 1:
        with pytest.raises(InvalidInput) as error:
            setting.check("fast")
        assert error.value.allowed == "plain"
        assert f"({gate})" in error.value.problem and "`python -m export judge fast_vae`" in error.value.problem
    [bare] = Catalogue.of([declared], ["loop"]).pipelines
    with pytest.raises(InvalidInput, match="is 'fast'; allowed: plain"):
        bare.settings["DECODER"].check("fast")


@pytest.mark.parametrize(
    ("served", "said"),
    [({}, "default"), ({"unet": "bf16"}, "bf16"), ({"unet": "int8", "vae": "bf16", "elsewhere": "cuda"}, "bf16+int8")],
)
def test_a_models_profile_is_that_of_what_it_runs(served, said):
    networks = [
        {"name": name, "parameters": {"profile": {"string_value": profile}}} for name, profile in served.items()
    ]
    found = Catalogue.of([config("loop", part__unet="unet", part__vae="vae"), *networks])
    assert found.profile_of("painter") == said
