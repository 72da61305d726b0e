import pytest
from hypothesis import given
from hypothesis import strategies as st

from matriarch.config.files import clean_auto_conf, parse_conf, render_conf
from matriarch.config.quoting import conf_value, conninfo, identifier, literal, passfile_field
from matriarch.words.errors import Invalid

printable = st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=("Cs",)))
names = st.from_regex(r"[a-z_][a-z0-9_]{0,20}(\.[a-z_][a-z0-9_]{0,20})?", fullmatch=True)


@given(st.dictionaries(names, st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("\n\t'\\"))))
def test_what_is_written_is_read_back(values: dict[str, str]) -> None:
    # A line separator that is none to Postgres must not be one to us either.
    assert parse_conf(render_conf(values)) == values


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r"%m \'%d\' ", "%m '%d' "),
        (r"a\bb\fc\nd\re\tf", "a\bb\fc\nd\re\tf"),
        (r"\303\251 \60\7z \1234 \8 \x41", "é 0\az S4 8 x41"),
        (r"\303", "\udcc3"),
        (r"ab\0cd", "ab"),
        (r"it''s \\''", r"it's \'"),
    ],
)
def test_what_others_wrote_is_read_as_postgres_reads_it(written: str, value: str) -> None:
    assert parse_conf(f"x.y = '{written}'\n") == {"x.y": value}


@given(st.text() | st.text("\\'0189bfnrtxz\udcc3\ud800\0\n"))
def test_no_file_is_too_strange_to_be_read(text: str) -> None:
    parse_conf(text)
    parse_conf(f"x = '{text}'")


@given(printable)
def test_a_value_stays_on_its_line_and_inside_its_quotes(text: str) -> None:
    written = conf_value(text)
    assert written[0] == written[-1] == "'" and "\n" not in written
    assert written[1:-1].replace("\\\\", "").replace("''", "").count("'") == 0


@pytest.mark.parametrize("char", ["\x00", "\r", "\x07", "\x7f"])
def test_control_characters_are_refused(char: str) -> None:
    for quote in (conf_value, identifier, literal, passfile_field):
        with pytest.raises(Invalid, match="U\\+00"):
            quote(f"a{char}b")


def test_quoting_by_example() -> None:
    assert conf_value("it's \\ a\nb\tc") == "'it''s \\\\ a\\nb\\tc'"
    assert conninfo({"host": "a b", "password": "it's \\"}) == "host='a b' password='it\\'s \\\\'"
    assert identifier('a"; drop') == '"a""; drop"'
    assert literal("a'; drop") == "'a''; drop'"
    assert passfile_field("a:b\\c") == "a\\:b\\\\c"


def test_alter_system_loses_only_what_the_agent_owns() -> None:
    text = "# kept\nwork_mem = '4MB'\nPrimary_ConnInfo = 'x'\n port='1'\nsynchronous_standby_names = '*'\n"
    assert clean_auto_conf(text) == "# kept\nwork_mem = '4MB'\n"
    assert clean_auto_conf("") == ""
