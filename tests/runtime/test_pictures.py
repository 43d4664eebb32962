"""Images read from files, and a vision transformer whose attention is on the accelerator."""

import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image
from thresher.model import images, load_model
from thresher.model.images import ImageReader
from thresher.model.load import as_batch
from thresher.model.tasks import chosen_task
from thresher.runtime.answers import answer
from thresher.runtime.evaluate import evaluate
from thresher.runtime.pick import pick
from thresher.runtime.study import study
from thresher.runtime.study.plan import Scores
from thresher.spec import ConfigError, InputError, ThresherError, coprocessor_preset, preset

from ..model.test_families import write_case

VIT, SIDE = "ViTForImageClassification, seed 2", 12
DISTILLED = "DeiTForImageClassificationWithTeacher, seed 3"
TASK = chosen_task("classification")


def write_images(folder, *, side=SIDE, count=6, seed=3):
    """PNG and NumPy files of random bytes, and the table that names them."""
    rng = np.random.default_rng(seed)
    lines = ["image\tlabel"]
    for number in range(count):
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        name = f"{number}.{'png' if number % 2 else 'npy'}"
        if number % 2:
            Image.fromarray(pixels).save(folder / name)
        else:
            np.save(folder / name, pixels)
        lines.append(f"{name}\t{number % 3}")
    table = folder / "images.tsv"
    table.write_text("\n".join(lines) + "\n")
    return table


@pytest.mark.parametrize(("name", "side"), [(VIT, 12), (DISTILLED, 8)])
def test_attention_in_int8_classifies_images(name, side, tmp_path):
    model = load_model(write_case(tmp_path / "model", name))
    table = write_images(tmp_path, side=side)
    report = evaluate(model, TASK, table, config=preset("edge"), rho=0.5, random_mask=True, jobs=1)
    results = report.results
    assert report.examples == 6
    assert report.calibration == "the first images"
    assert report.calibration_sentences == 6
    assert results["int8"].block_sparsity == 0 < results["pruned"].block_sparsity
    assert set(results) == {"fp32", "int8", "pruned", "random_mask"}
    assert model.images is not None
    pictures = [model.images.picture(tmp_path / f"{i}.{'png' if i % 2 else 'npy'}") for i in range(6)]
    found = model.encoder.logits(as_batch(pictures)).argmax(axis=1)
    assert results["fp32"].score == pytest.approx(np.mean(found == np.arange(6) % 3))


def test_images_are_classified_one_by_one(tmp_path):
    folder, _ = write_case(tmp_path / "model", VIT), write_images(tmp_path)
    model, files = load_model(folder), [tmp_path / "0.npy", tmp_path / "1.png"]
    assert model.images is not None
    outputs = model.encoder.logits(as_batch([model.images.picture(file) for file in files]))
    answers = answer(str(folder), files, config=preset("edge"), backend="golden", rho=-1.0)
    assert answers.reads_images
    for file, output, found in zip(files, outputs, answers.sentences, strict=True):
        assert found.text == str(file)
        assert found.fp32_label == model.config.labels[int(output.argmax())]
        assert found.kept_blocks == found.blocks == 3 * 25  # three heads of 10 tokens, in blocks of 2 x 2
    with pytest.raises(InputError, match="reads images: give"):
        answer(str(folder), ["a text"], config=preset("edge"), backend="golden", rho=-1.0)
    with pytest.raises(InputError, match="reads texts: give"):
        answer("default", files, config=preset("edge"), backend="golden", rho=-1.0)
    with pytest.raises(InputError, match=r"missing\.png"):
        answer(str(folder), [tmp_path / "missing.png"], config=preset("edge"), backend="golden", rho=-1.0)
    small = dataclasses.replace(preset("tiny"), max_length=8)
    with pytest.raises(InputError, match="10 tokens, but this hardware takes at most 8"):
        answer(str(folder), files, config=small, backend="golden", rho=-1.0)


@pytest.mark.slow
def test_hardware_classifies_images_as_the_golden_model_does(tmp_path):
    folder, table = write_case(tmp_path / "model", VIT), write_images(tmp_path)
    config = coprocessor_preset("tiny").attention
    files = [tmp_path / "0.npy", tmp_path / "1.png"]
    answers = answer(str(folder), files, config=config, backend="rtl", rho=0.3, calibration=table)
    assert answers.bit_exact
    assert answers.cycles is not None
    golden = answer(str(folder), files, config=config, backend="golden", rho=0.3, calibration=table)
    assert [each.confidence for each in answers.sentences] == [each.confidence for each in golden.sentences]


def test_a_sparsity_is_chosen_for_images(tmp_path):
    model, table = load_model(write_case(tmp_path / "model", VIT)), write_images(tmp_path)
    config = preset("edge")
    found = pick(model, TASK, table, config=config, target_speedup=1.01, rhos=[0.5], jobs=1)
    alone = evaluate(model, TASK, table, config=config, rho=0.5, jobs=1).results
    assert found.calibration == "6 images, percentile"
    assert [each.score for each in found.points] == [alone["int8"].score, alone["pruned"].score]
    assert found.points[1].block_sparsity == alone["pruned"].block_sparsity > 0


def test_a_study_of_images(tmp_path):
    """Another run goes on from the log, unless an image has changed."""
    model, table = load_model(write_case(tmp_path / "model", VIT)), write_images(tmp_path)

    def found():
        settings = {"rules": ["threshold", "random", "tau"], "scores": [Scores.PREDICTED], "targets": [0.5]}
        return study(model, TASK, table, config=preset("edge"), output=tmp_path / "out", jobs=1, **settings)

    report = found()
    assert report.calibration == "the first images (6), percentile"
    plain = evaluate(model, TASK, table, config=preset("edge"), rho=0.5, jobs=1).results
    rows = {row.rule: row for row in report.rows}
    assert rows["fp32"].score == plain["fp32"].score
    assert rows["int8"].score == plain["int8"].score
    assert 0.2 < rows["threshold"].block_sparsity < 0.8
    assert rows["tau"].head_sparsity > 0
    again = found()
    assert again.resumed > report.resumed == 0
    assert again.rows == report.rows
    np.save(tmp_path / "0.npy", np.zeros((SIDE, SIDE, 3), np.uint8))
    with pytest.raises(ThresherError, match="texts"):
        found()


def reader(folder, side=SIDE, **settings) -> ImageReader:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    model = load_model(write_case(folder / "model", VIT))
    assert model.images is not None
    return ImageReader.from_folder(folder, model.images.sizes, model.images.tokens)


def test_pixels_are_scaled_and_normalised(tmp_path):
    pixels = np.arange(SIDE * SIDE * 3, dtype=np.uint8).reshape(SIDE, SIDE, 3)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    np.save(tmp_path / "image.npy", pixels)
    mean, deviation = [0.1, 0.2, 0.3], [0.5, 0.25, 1]
    own = reader(tmp_path, size=SIDE, image_mean=mean, image_std=deviation)
    expected = ((pixels / 255 - mean) / deviation).transpose(2, 0, 1)
    for name in ("image.png", "image.npy"):
        found = own.read(tmp_path / name)
        assert found.dtype == np.float32
        assert found == pytest.approx(expected, abs=1e-6)
    np.save(tmp_path / "floats.npy", expected)
    assert own.read(tmp_path / "floats.npy") == pytest.approx(expected, abs=1e-6)
    plain = reader(tmp_path, size=SIDE, do_rescale=False, do_normalize=False)
    np.testing.assert_array_equal(plain.read(tmp_path / "image.png"), pixels.transpose(2, 0, 1))


def test_grey_images_of_16_bits_are_scaled(tmp_path):
    grey = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 255
    Image.fromarray(grey).save(tmp_path / "grey.png")
    plain = reader(tmp_path, size=SIDE, do_rescale=False, do_normalize=False)
    np.testing.assert_array_equal(plain.read(tmp_path / "grey.png"), np.broadcast_to(grey >> 8, (3, SIDE, SIDE)))


def test_images_are_resized_and_cropped(tmp_path):
    """The longer edge follows the shorter one, and the middle of it is kept."""
    pixels = np.zeros((24, 72, 3), np.uint8)
    pixels[:, 24:48] = 200
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    settings = {"do_rescale": False, "do_normalize": False, "resample": 0}
    own = reader(tmp_path, size={"shortest_edge": SIDE}, do_center_crop=True, crop_size=SIDE, **settings)
    assert (own.read(tmp_path / "wide.png") == 200).all()
    squeezed = reader(tmp_path, size={"height": SIDE, "width": SIDE}, **settings).read(tmp_path / "wide.png")
    assert (squeezed == 200).mean() == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"resample": 9}, "resample=9"),
        ({"size": {"longest_edge": 3}}, "size="),
        ({"size": 0}, "size=0"),
        ({"size": SIDE, "do_resize": 1}, "do_resize=1"),
        ({"size": SIDE, "image_std": [0, 1, 1]}, "image_std="),
        ({"size": SIDE, "image_mean": [1, 1]}, "image_mean="),
        ({"size": SIDE, "rescale_factor": -1}, "rescale_factor=-1"),
    ],
)
def test_illegal_settings_are_refused(settings, told, tmp_path):
    with pytest.raises(ConfigError, match=told):
        reader(tmp_path, **settings)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.png", None, "No such file"),
        ("text.png", b"no image", "it is damaged, or none of PNG"),
        ("text.npy", b"no array", "no NumPy file"),
        ("grey.npy", np.zeros((SIDE, SIDE), np.uint8), "holds uint8"),
        ("small.npy", np.zeros((3, 4, 4), np.float32), "the model takes"),
        ("nan.npy", np.full((3, SIDE, SIDE), np.nan), "NaN"),
    ],
)
def test_what_is_no_image_is_refused_with_its_line(name, content, told, tmp_path):
    model = load_model(write_case(tmp_path / "model", VIT))
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        np.save(tmp_path / name, content)
    table = tmp_path / "images.tsv"
    table.write_text(f"image\tlabel\n{name}\t0\n")
    with pytest.raises(InputError, match=told) as caught:
        evaluate(model, TASK, table, config=preset("edge"), rho=0.5, jobs=1)
    assert "line 2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_texts_and_too_small_hardware_are_refused(tmp_path):
    model, table = load_model(write_case(tmp_path / "model", VIT)), write_images(tmp_path)
    with pytest.raises(InputError, match="reads images"):
        model.encode("a text")
    small = dataclasses.replace(preset("tiny"), max_length=8)
    with pytest.raises(InputError, match="10 tokens, but this hardware takes at most 8"):
        evaluate(model, TASK, table, config=small, rho=0.5, jobs=1)
    for task in ("sst2", "stsb", "perplexity"):
        with pytest.raises(InputError, match="use --task classification"):
            evaluate(model, task, table, config=preset("edge"), rho=0.5, jobs=1)
    table.write_text(table.read_text().replace("image\tlabel", "picture\tlabel"))
    with pytest.raises(InputError, match="the columns must be image, label"):
        evaluate(model, TASK, table, config=preset("edge"), rho=0.5, jobs=1)
    named = chosen_task("classification", text_column="picture")
    assert evaluate(model, named, table, config=preset("edge"), rho=0.5, jobs=1).examples == 6
    with pytest.raises(ThresherError, match="encoders of texts"):
        model.config.check_encoder()


def test_what_is_no_file_or_too_large_is_refused(tmp_path, monkeypatch):
    own = reader(tmp_path, size=SIDE)
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("pipe.png", "model"):
        with pytest.raises(InputError, match="it is no file"):
            own.read(tmp_path / name)
    write_images(tmp_path)
    monkeypatch.setattr(images, "MOST_BYTES", 100)
    for name in ("0.npy", "1.png"):
        with pytest.raises(InputError, match="scale it down"):
            own.read(tmp_path / name)


def test_a_folder_without_a_reader_names_both(tmp_path):
    folder = write_case(tmp_path / "model", VIT)
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"lacks tokenizer.json \(or preprocessor_config.json, for images\)"):
        load_model(folder)
