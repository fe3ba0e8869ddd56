"""What decides a training is what its identity changes with."""

from icg_tasks.models.training.identity import training_identity


def test_it_changes_with_every_file_and_every_word_and_with_nothing_else() -> None:
    files, body = {"b": b"2", "a": b"1"}, {"settings": {"steps": 3}, "processes": 1}
    same = training_identity(files, body)
    assert same == training_identity({"a": b"1", "b": b"2"}, {"processes": 1, "settings": {"steps": 3}})
    others = [
        training_identity({"a": b"1", "b": b"3"}, body),
        training_identity({"a": b"1", "c": b"2"}, body),
        training_identity({"a": b"1"}, body),
        training_identity(files, {**body, "processes": 2}),
        training_identity(files, {**body, "settings": {"steps": 4}}),
    ]
    assert len({same, *others}) == 6
