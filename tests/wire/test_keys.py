"""Keys: files that only their owner reads, whole or not there; ids that follow from the key."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_wire.errors import KeyFileError
from gridtokenx_wire.keys import (
    create_private_key,
    device_id,
    device_text,
    load_private_key,
    parse_public_key,
    public_key_text,
    raw_private_seed,
    raw_public_key,
    read_secret,
    write_secret,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "device.key"


def private_file(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_key_file_is_for_its_owner_alone_whatever_the_umask(file: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        create_private_key(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_new_key_is_loaded_again(file: Path) -> None:
    key = create_private_key(file)
    assert raw_private_seed(load_private_key(file)) == raw_private_seed(key)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_every_key_is_another(tmp_path: Path) -> None:
    keys = [create_private_key(tmp_path / f"{n}.key") for n in range(8)]
    assert len({raw_private_seed(key) for key in keys}) == 8


def test_an_existing_file_is_never_replaced(file: Path) -> None:
    file.write_text("precious")
    with pytest.raises(FileExistsError):
        create_private_key(file)
    assert file.read_text() == "precious"
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_link_is_never_followed_when_writing(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    file.symlink_to(target)
    with pytest.raises(FileExistsError):
        create_private_key(file)
    assert not target.exists()


def test_of_several_that_create_a_key_at_once_one_wins(file: Path) -> None:
    start = threading.Barrier(8)
    made: list[bytes] = []
    refused: list[str] = []

    def create() -> None:
        start.wait()
        try:
            made.append(raw_private_seed(create_private_key(file)))
        except FileExistsError as error:
            refused.append(type(error).__name__)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 7)
    assert [raw_private_seed(load_private_key(file))] == made


STEPS = ["open", "fdopen", "fsync", "link", "close"]


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_between_any_two_steps_leaves_the_whole_key_or_none(file: Path, step: str) -> None:
    # A child process dies, as at a power cut, where `step` would be called.
    child = os.fork()
    if child == 0:
        os.__dict__[step] = lambda *_args, **_kwargs: os._exit(9)
        write_secret(file, PEM)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    if file.exists():
        assert file.read_bytes() == PEM
    # The next attempt is not in the way of what was left.
    file.unlink(missing_ok=True)
    create_private_key(file)
    load_private_key(file)


@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_failing_disk_is_one_line_and_leaves_nothing(
    file: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(KeyFileError) as caught:
        create_private_key(file)
    assert str(caught.value) == f"{file}: cannot be written: No space left on device"
    assert list(file.parent.iterdir()) == []


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "device.key"
    with pytest.raises(KeyFileError) as caught:
        create_private_key(file)
    assert str(caught.value) == f"{file}: cannot be written: No such file or directory"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
def test_a_file_that_others_can_touch_is_refused(file: Path, mode: int) -> None:
    private_file(file, PEM, mode)
    with pytest.raises(KeyFileError) as caught:
        load_private_key(file)
    assert str(caught.value) == f"{file}: expected mode 0600, got {mode:04o}; run: chmod 600 {file}"


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o700])
def test_a_file_that_only_its_owner_can_touch_is_read(file: Path, mode: int) -> None:
    assert read_secret(private_file(file, PEM, mode)) == PEM


def test_a_link_counts_as_what_it_points_to(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    file.symlink_to(target)
    private_file(target, PEM, 0o600)
    assert read_secret(file) == PEM
    target.chmod(0o644)
    with pytest.raises(KeyFileError, match="expected mode 0600, got 0644"):
        read_secret(file)


def test_what_is_not_there_is_one_line(file: Path) -> None:
    with pytest.raises(KeyFileError) as caught:
        load_private_key(file)
    assert str(caught.value) == f"{file}: cannot be read: No such file or directory"


def test_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="Is a directory"):
        load_private_key(tmp_path)


@pytest.mark.timeout(10)
def test_a_pipe_is_refused_without_waiting_for_a_writer(file: Path) -> None:
    os.mkfifo(file, 0o600)
    with pytest.raises(KeyFileError, match="expected a regular file"):
        load_private_key(file)


PKCS8 = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
WRONG = {
    "nothing": b"",
    "text": b"secret\n",
    "half a file": PEM[: len(PEM) // 2],
    "garbage in the frame": PEM.replace(b"MC4C", b"AAAA"),
    "binary": KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    "the public key": KEY.public_key().public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ),
    "a key behind a password": KEY.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    ),
    "an RSA key": rsa.generate_private_key(65537, 2048).private_bytes(*PKCS8),
    "a P-256 key": ec.generate_private_key(ec.SECP256R1()).private_bytes(*PKCS8),
    "an X25519 key": x25519.X25519PrivateKey.generate().private_bytes(*PKCS8),
    "an Ed448 key": ed448.Ed448PrivateKey.generate().private_bytes(*PKCS8),
    "a certificate": PEM.replace(b"PRIVATE KEY", b"CERTIFICATE"),
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_anything_but_an_ed25519_private_key_is_one_line(file: Path, content: bytes) -> None:
    private_file(file, content)
    with pytest.raises(KeyFileError, match=r"expected an (unencrypted PKCS #8|Ed25519)") as caught:
        load_private_key(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert len(str(caught.value).splitlines()) == 1


# -- names --------------------------------------------------------------------------------------


def test_a_device_id_is_half_the_hash_of_its_public_key() -> None:
    public = KEY.public_key()
    assert device_id(public) == hashlib.sha256(raw_public_key(public)).digest()[:16]
    assert device_id(public) == device_id(raw_public_key(public))


@given(st.binary(min_size=16, max_size=16))
def test_a_device_text_is_26_characters_that_a_topic_and_a_certificate_can_hold(
    device: bytes,
) -> None:
    text = device_text(device)
    assert len(text) == 26
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz234567")


def test_the_rfcs_key_has_this_address() -> None:
    # RFC 8032 §7.1 TEST 1; the same text as Solana's tools print for these 32 bytes.
    raw = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert public_key_text(raw) == "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z"


@given(st.binary(min_size=32, max_size=32).filter(lambda raw: raw[:31] != bytes(31)))
def test_an_address_is_parsed_to_its_key(raw: bytes) -> None:
    assert parse_public_key(public_key_text(raw)) == raw


@given(st.text(max_size=70) | st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"))
def test_a_text_is_one_key_or_an_error(text: str) -> None:
    try:
        raw = parse_public_key(text)
    except ValueError:
        return
    assert (len(raw), public_key_text(raw)) == (32, text)


@pytest.mark.parametrize(
    "text",
    ["", "1", "0OIl", "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9n", "é", 65 * "1", 31 * "1"]
    + [f"{space}FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z" for space in " \n\t"]
    + [f"FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z{space}" for space in " \n\t"],
    ids=repr,
)
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a Base58 Ed25519 public key"):
        parse_public_key(text)


# -- points of small order ----------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    """RFC 8032 §5.1.4, in affine coordinates."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def multiply(factor: int, point: Point) -> Point:
    result: Point = (0, 1)
    while factor:
        if factor & 1:
            result = add(result, point)
        point = add(point, point)
        factor >>= 1
    return result


def points_at(y: int) -> list[Point]:
    """RFC 8032 §5.1.3: the points, none or up to two, with this y."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return []
    return [(x, y % P), (-x % P, y % P)]


def small_order_points() -> set[Point]:
    """Return all eight points of small order: any point times the order of the large subgroup."""
    found: set[Point] = set()
    y = 2
    while len(found) < 8:
        found |= {multiply(ORDER, point) for point in points_at(y)}
        y += 1
    return found


def encodings(point: Point) -> list[bytes]:
    """Return both signs of x, and y as it is and, where that fits 255 bits, plus the
    field's prime.
    """
    _, y = point
    spelled = [y] + [y + P] * (y + P < 2**255)
    return [(n | sign << 255).to_bytes(32, "little") for n in spelled for sign in (0, 1)]


def test_every_spelling_of_every_point_of_small_order_is_refused() -> None:
    points = small_order_points()
    assert all(multiply(8, point) == (0, 1) for point in points)
    refused = {raw for point in points for raw in encodings(point)}
    assert len(refused) == 14
    for raw in refused:
        with pytest.raises(ValueError, match="small order"):
            parse_public_key(public_key_text(raw))


def test_an_ordinary_key_is_not_refused() -> None:
    for _ in range(100):
        raw = raw_public_key(
            Ed25519PrivateKey.from_private_bytes(secrets.token_bytes(32)).public_key()
        )
        assert parse_public_key(public_key_text(raw)) == raw
