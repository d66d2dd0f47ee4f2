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


@pytest.mark.parametrize("argument", ["--num_bits=0", "--num_bits=x", "--two_way=perhaps"])
def test_what_is_out_of_range_is_refused(argument):
    with pytest.raises(flags.Error, match=argument[2:7]):
        parsed(argument)
