import pytest
from absl import flags

import tasks
from training import options


def parsed(*arguments):
    values = flags.FlagValues()
    options.define(values)
    values(["program", *arguments])
    return values


def test_every_option_of_every_task_is_a_flag_with_its_defaults_in_help():
    values = parsed()

    for task in tasks.names():
        for name, default in tasks.defaults(task).items():
            if name != "batch_size":
                assert f"{task} {str(default).lower()}" in values[name].help
                assert values[name].value is None


@pytest.mark.parametrize("task", tasks.names())
def test_a_task_has_its_own_defaults_where_nothing_is_given(task):
    own = tasks.defaults(task)
    del own["batch_size"]

    assert options.values(task, parsed()) == own


def test_what_is_given_is_taken():
    found = options.values("key_value", parsed("--two_way", "--max_length=4"))

    assert found == {"num_bits": 12, "min_length": 2, "max_length": 4, "two_way": True}


def test_what_the_task_does_not_have_is_refused_with_what_it_has():
    with pytest.raises(ValueError, match="Task addition has no option --two_way; it has --num_d"):
        options.values("addition", parsed("--two_way"))
    with pytest.raises(ValueError, match="Unknown task 'chess'"):
        options.values("chess", parsed())


@pytest.mark.parametrize("argument", ["--num_bits=2147483648", "--num_bits=x", "--two_way=perhaps"])
def test_what_is_out_of_range_is_refused(argument):
    with pytest.raises(flags.Error, match=argument[2:7]):
        parsed(argument)


class OneOfEach(tasks.Task):
    """A task whose options are of all kinds, without a text for them."""

    def __init__(self, batch_size=1, own_rate=0.5, own_share=1, own_count=0, own_switch=True):
        self.options = (own_rate, own_share, own_count, own_switch)

    batch = cost = metrics = is_solved = None


class AnotherShare(OneOfEach):
    def __init__(self, batch_size=1, own_share=0.25):
        pass


@pytest.fixture
def one_of_each(monkeypatch):
    monkeypatch.setattr(tasks.base, "_TASKS", {"one": OneOfEach, "another": AnotherShare})


def test_an_option_without_a_text_is_a_flag_with_its_defaults(one_of_each):
    values = parsed()

    assert "another 0.25, one 1" in values["own_share"].help
    assert options.values("one", values) == {
        "own_rate": 0.5,
        "own_share": 1,
        "own_count": 0,
        "own_switch": True,
    }


def test_an_option_has_the_type_of_its_defaults(one_of_each):
    values = parsed("--own_rate=1e-3", "--own_share=0.5", "--own_count=0", "--noown_switch")
    found = options.values("one", values)

    assert found == {"own_rate": 1e-3, "own_share": 0.5, "own_count": 0, "own_switch": False}
    assert options.values("one", parsed("--own_count=-3"))["own_count"] == -3


def test_every_option_of_the_tasks_here_has_a_text():
    assert options._HELP.keys() == set(options.names())


NUMBERS = [
    (task, option)
    for task in tasks.names()
    for option, default in tasks.defaults(task).items()
    if type(default) is int and option != "batch_size"
]


@pytest.mark.parametrize("number", [0, -1])
@pytest.mark.parametrize("task, option", NUMBERS)
def test_a_task_refuses_numbers_that_it_cannot_take(task, option, number):
    with pytest.raises(ValueError, match=option):
        tasks.get(task, **{option: number})
