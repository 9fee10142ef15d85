"""``GET /v1/models``: what is loaded, as it is loaded."""


def test_the_project_s_models_with_their_inputs_and_limits(http):
    models = {model["name"]: model for model in http.get("/v1/models").json()["data"]}
    assert set(models) >= {"ht", "cris"}
    inputs = {model: [(each["name"], each["required"]) for each in models[model]["inputs"]] for model in models}
    assert inputs["ht"] == [("image", True), ("text", False), ("mask", False)]
    assert inputs["cris"] == [("image", True), ("text", True)]
    assert models["ht"]["task"] == "harmonize" and models["cris"]["task"] == "segment"
    assert models["ht"]["limits"] == {
        "max_bytes": 64 * 2**20,
        "max_pixels": 40_000_000,
        "max_text_bytes": 10_000,
        "deadline": 60.0,
        "concurrency": 2,
        "queue": 16,
    }


def test_a_diffusion_s_settings_have_their_ranges(diffusing_http):
    models = {model["name"]: model for model in diffusing_http.get("/v1/models").json()["data"]}
    assert set(models) == {"diffharmony", "cris", "attngan"}
    settings = {setting["name"]: setting for setting in models["diffharmony"]["settings"]}
    assert (settings["steps"]["minimum"], settings["steps"]["maximum"], settings["steps"]["default"]) == (1, 50, 5)
    assert settings["sampler"]["default"] in settings["sampler"]["choices"]
    assert settings["decoder"]["choices"] == ["plain", "harmony", "tiny", "linear"] and settings["refine"][
        "choices"
    ] == [False, True]
    assert models["diffharmony"]["limits"]["deadline"] == 600
