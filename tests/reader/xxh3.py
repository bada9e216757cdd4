"""XXH3, from the specification of xxHash 0.8: what the independent reader checks a file by. No speed."""

import struct

U64 = (1 << 64) - 1

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D)
P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def u32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def fold(a, b):
    product = a * b
    return (product & U64) ^ (product >> 64)


def rotl(value, bits):
    return (value << bits | value >> 64 - bits) & U64


def swap(value, size):
    return int.from_bytes(value.to_bytes(size, "little"), "big")


def avalanche(h):
    h = (h ^ h >> 37) * 0x165667919E3779F9 & U64
    return h ^ h >> 32


def avalanche_old(h):
    h = (h ^ h >> 33) * P64[1] & U64
    h = (h ^ h >> 29) * P64[2] & U64
    return h ^ h >> 32


def xxh3_64(data, seed=0):
    n = len(data)
    if n > 240:
        state, secret = long_state(data, seed)
        return merge(state, secret, 11, n * P64[0])
    s = lambda at: u64(SECRET, at)
    if n == 0:
        return avalanche_old(seed ^ s(56) ^ s(64))
    if n <= 3:
        word = data[0] << 16 | data[n >> 1] << 24 | data[n - 1] | n << 8
        return avalanche_old(word ^ (u32(SECRET, 0) ^ u32(SECRET, 4)) + seed & U64)
    if n <= 8:
        seed ^= swap(seed & 0xFFFFFFFF, 4) << 32
        h = u32(data, n - 4) + (u32(data, 0) << 32) ^ (s(8) ^ s(16)) - seed & U64
        h = (h ^ rotl(h, 49) ^ rotl(h, 24)) * 0x9FB21C651E98DF25 & U64
        h = (h ^ (h >> 35) + n) * 0x9FB21C651E98DF25 & U64
        return h ^ h >> 28
    if n <= 16:
        low = u64(data, 0) ^ (s(24) ^ s(32)) + seed & U64
        high = u64(data, n - 8) ^ (s(40) ^ s(48)) - seed & U64
        return avalanche(n + swap(low, 8) + high + fold(low, high) & U64)

    def mix(at, key):
        return fold(u64(data, at) ^ s(key) + seed & U64, u64(data, at + 8) ^ s(key + 8) - seed & U64)

    total = n * P64[0]
    if n <= 128:
        for i in range((n - 1) // 32 + 1):
            total += mix(16 * i, 32 * i) + mix(n - 16 * (i + 1), 32 * i + 16)
        return avalanche(total & U64)
    total = avalanche(total + sum(mix(16 * i, 16 * i) for i in range(8)) & U64)
    total += sum(mix(16 * i, 16 * (i - 8) + 3) for i in range(8, n // 16)) + mix(n - 16, 136 - 17)
    return avalanche(total & U64)


def xxh3_128(data, seed=0):
    """Only for more than 240 bytes: all that a file needs."""
    state, secret = long_state(data, seed)
    low = merge(state, secret, 11, len(data) * P64[0])
    return low | merge(state, secret, len(secret) - 64 - 11, ~(len(data) * P64[1])) << 64


def merge(state, secret, at, total):
    for i in range(0, 8, 2):
        total += fold(state[i] ^ u64(secret, at + 8 * i), state[i + 1] ^ u64(secret, at + 8 * i + 8))
    return avalanche(total & U64)


def long_state(data, seed):
    secret = b"".join(
        struct.pack("<QQ", u64(SECRET, i) + seed & U64, u64(SECRET, i + 8) - seed & U64) for i in range(0, 192, 16))
    keys = [struct.unpack_from("<8Q", secret, 8 * stripe) for stripe in range(16)]
    state = [P32[2], P64[0], P64[1], P64[2], P64[3], P32[1], P64[4], P32[0]]

    def accumulate(at, key):
        for i, value in enumerate(struct.unpack_from("<8Q", data, at)):
            mixed = value ^ key[i]
            state[i ^ 1] = state[i ^ 1] + value & U64
            state[i] = state[i] + (mixed & 0xFFFFFFFF) * (mixed >> 32) & U64

    stripes = (len(data) - 1) // 64
    for stripe in range(stripes):
        accumulate(64 * stripe, keys[stripe % 16])
        if stripe % 16 == 15:
            for i, key in enumerate(struct.unpack_from("<8Q", secret, 128)):
                state[i] = (state[i] ^ state[i] >> 47 ^ key) * P32[0] & U64
    accumulate(len(data) - 64, struct.unpack_from("<8Q", secret, 121))
    return state, secret
