"""train.py with any flags: it accepts them, or says in one line what is wrong."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flags import NAMES, ODD, SENSIBLE, as_arguments
from tests.scripts import run_train
from training.loop import Loop


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.builds(
        lambda sensible, odd: {**sensible, **odd},
        SENSIBLE,
        st.just({}) | st.dictionaries(NAMES, ODD, max_size=1),
    ),
    more=st.just([]) | st.lists(st.text(max_size=5), max_size=1),
)
def test_any_flags_are_accepted_or_refused_in_one_line(values, more, monkeypatch, tmp_path_factory):
    monkeypatch.setattr(Loop, "train", lambda loop: loop.stop("interrupted"))
    directory = tmp_path_factory.mktemp("any")

    ended = run_train(*as_arguments(values), *more, directory=directory)

    if ended.code == 0:
        assert ended.err == ""
    else:
        assert ended.code == 2
        assert ended.err.startswith("train.py: ") and ended.err.count("\n") == 1, ended.err
        assert len(ended.err) < 1000
        assert not list(directory.iterdir())
