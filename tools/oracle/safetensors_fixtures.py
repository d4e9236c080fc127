"""Fixtures for @graftjs/checkpoint, made by the libraries whose bytes it must match.

    python3 -m venv venv && venv/bin/pip install safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
    venv/bin/python tools/oracle/safetensors_fixtures.py

Writes into packages/io/checkpoint/test/fixtures:
  mixed.safetensors, empty.safetensors   the Rust writer's bytes for awkward names, dtypes and shapes
  adapter/                               adapter_config.json and adapter_model.safetensors as PEFT saves them
  numbers.json                           SHA-256 of numpy's and ml_dtypes' conversions between float formats
  verdicts.json                          whether the Rust reader takes each of some hundred damaged files
"""

import hashlib
import json
import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors
from safetensors import TensorSpec, deserialize, serialize
from safetensors.numpy import save

OUT = Path(__file__).resolve().parents[2] / "packages/io/checkpoint/test/fixtures"

# (name, dtype as the Python binding calls it, shape); data are bytes counting up from the entry's index.
MIXED = [
    ("z.f32", "float32", [2, 3]),
    ("a.f32", "float32", [1]),
    ("10", "float32", [1]),
    ("2", "float32", [1]),
    ("__proto__", "float32", [2]),
    ("constructor", "float16", [3]),
    ("bf16", "bfloat16", [1, 2, 1]),
    ("f64.scalar", "float64", []),
    ("i64", "int64", [2]),
    ("u64", "uint64", [1]),
    ("i32", "int32", [1]),
    ("u32", "uint32", [1]),
    ("i16", "int16", [1]),
    ("u16", "uint16", [1]),
    ("i8", "int8", [3]),
    ("u8", "uint8", [5]),
    ("bool", "bool", [2]),
    ("e4m3", "float8_e4m3fn", [4]),
    ("e5m2", "float8_e5m2", [4]),
    ("empty", "float32", [2, 0]),
    ('quote " backslash \\ newline \n tab \t bell \x07 delete \x7f line \u2028', "uint8", [1]),
    ("umlaut ä", "uint8", [1]),
    ("last of the plane \uffff", "uint8", [1]),
    ("last of the plane \U0001f600", "uint8", [1]),
]
BYTES = {"float64": 8, "int64": 8, "uint64": 8, "float32": 4, "int32": 4, "uint32": 4, "float16": 2,
         "bfloat16": 2, "int16": 2, "uint16": 2}


def mixed():
    tensors = {}
    keep = []
    for index, (name, dtype, shape) in enumerate(MIXED):
        size = int(np.prod(shape, dtype=np.int64)) * BYTES.get(dtype, 1)
        data = np.array([(index + i) % 256 for i in range(size)], dtype=np.uint8)
        keep.append(data)
        tensors[name] = TensorSpec(dtype=dtype, shape=shape, data_ptr=data.ctypes.data, data_len=size)
    (OUT / "mixed.safetensors").write_bytes(serialize(tensors, {"format": "pt"}))
    (OUT / "mixed.json").write_text(json.dumps([[n, d, s] for n, d, s in MIXED], indent=1) + "\n")
    (OUT / "empty.safetensors").write_bytes(serialize({}, None))


def adapter():
    folder = OUT / "adapter"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "alpha_pattern": {}, "auto_mapping": None, "base_model_name_or_path": "maison/modèle-\U0001f600",
        "bias": "none", "exclude_modules": None, "fan_in_fan_out": False, "inference_mode": True,
        "init_lora_weights": True, "layers_to_transform": [0, 1], "loftq_config": {}, "lora_alpha": 16,
        "lora_dropout": 0.0, "megatron_core": "megatron.core", "modules_to_save": None, "peft_type": "LORA",
        "r": 8, "rank_pattern": {"b": 4, "B": 2, "a": 1}, "target_modules": ["v_proj", "q_proj"],
        "task_type": "CAUSAL_LM", "use_rslora": False,
        # Not LoRA's: the shapes of numbers that Python writes differently from JavaScript.
        "floats": [0.0, -0.0, 1.0, 0.1, 1e-4, 1e-5, 2.5e-7, 1e15, 1e16, 1.5e22, 123456.789],
        "nothing": [], "text": 'quote " backslash \\ newline \n delete \x7f line \u2028 slash /',
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True))
    prefix = "base_model.model.model.layers.0.self_attn."
    tensors = {
        prefix + "q_proj.lora_A.weight": np.arange(8 * 4, dtype=np.float32).reshape(8, 4) / 7,
        prefix + "q_proj.lora_B.weight": np.arange(4 * 8, dtype=np.float32).reshape(4, 8) / 11,
        prefix + "v_proj.lora_A.weight": np.arange(8 * 4, dtype=np.float32).reshape(8, 4) / 13,
        prefix + "v_proj.lora_B.weight": np.zeros((4, 8), dtype=np.float32),
    }
    (folder / "adapter_model.safetensors").write_bytes(save(tensors, {"format": "pt"}))


def digest(values):
    """SHA-256 of the little-endian bytes, each NaN replaced by zero: NaN payloads are nobody's promise."""
    values = values.copy()
    values[np.isnan(values)] = 0
    return hashlib.sha256(values.tobytes()).hexdigest()


def numbers():
    all16 = np.arange(65536, dtype=np.uint16)
    all8 = np.arange(256, dtype=np.uint8)
    # Every bit pattern with a stride: 2^20 values of all magnitudes, and all ties and neighbours of f16.
    spread = (np.arange(1 << 20, dtype=np.uint64) * 2654435761 % (1 << 32)).astype(np.uint32)
    middles = all16.view(np.float16).astype(np.float32).view(np.uint32)
    near = np.concatenate([middles + np.uint32(d) for d in (0, 0x0FFF, 0x1000, 0x1001)])
    brains = np.concatenate([(all16.astype(np.uint32) << 16) + np.uint32(d) for d in (0, 0x7FFF, 0x8000, 0x8001)])
    i64 = np.array([0, 1, -1, 2**24 + 1, 2**53 + 1, 2**60 + 2**36, 2**60 + 2**36 + 1, -(2**63), 2**63 - 1, -(2**62 + 2**38 + 1)], dtype=np.int64)
    bits = np.concatenate([spread, near, brains]).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        half = bits.astype(np.float16)
        brain = bits.astype(ml_dtypes.bfloat16)
    result = {
        "F16 to F32": digest(all16.view(np.float16).astype(np.float32)),
        "BF16 to F32": digest(all16.view(ml_dtypes.bfloat16).astype(np.float32)),
        "F8_E4M3 to F32": digest(all8.view(ml_dtypes.float8_e4m3fn).astype(np.float32)),
        "F8_E5M2 to F32": digest(all8.view(ml_dtypes.float8_e5m2).astype(np.float32)),
        "F32 to F16": digest(half),
        "F32 to BF16": digest(brain),
        "I64": [str(v) for v in i64],
        "I64 to F32": [float(v) for v in i64.astype(np.float32)],
    }
    (OUT / "numbers.json").write_text(json.dumps(result, indent=2) + "\n")


def verdict(data):
    try:
        deserialize(data)
        return 1
    except safetensors.SafetensorError:
        return 0


def file(header, data=b""):
    return struct.pack("<Q", len(header)) + header + data


def verdicts():
    base = file(
        b'{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
        b'"b":{"dtype":"U8","shape":[1,3],"data_offsets":[8,11]}} ',
        bytes(11),
    )
    assert verdict(base) == 1
    # Each byte of length and header replaced by each of these, then removed.
    replacements = b' "0129-.eE,:[]{}\\aFU\x00\x7f\x80\xff'
    replaced = [
        [verdict(base[:at] + bytes([byte]) + base[at + 1 :]) for byte in replacements]
        for at in range(len(base) - 11)
    ]
    removed = [verdict(base[:at] + base[at + 1 :]) for at in range(len(base))]
    cut = [verdict(base[:length]) for length in range(len(base))]
    # Headers one by one, with the data they need.
    one = b'{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    headers = [
        (b"{}", 0), (b"{}    ", 0), (b"{}\r \t\n", 0), (b"  {}", 0), (b"", 0), (b"[]", 0), (b"null", 0), (b"{", 0),
        (b"{}\x00", 0), (b"\xef\xbb\xbf{}", 0), (b"\xff", 0), (b'{"\xed\xa0\x80":' + one + b"}", 1),
        (b'{"\\ud800":' + one + b"}", 1), (b'{"\\ud83d\\ude00":' + one + b"}", 1),
        (b'{"a":' + one + b',"a":' + one + b"}", 1),
        (b'{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
        (b'{"__proto__":' + one + b"}", 1), (b'{"constructor":' + one + b"}", 1), (b'{"":' + one + b"}", 1),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":[{}]}}', 1),
        (b'{"a":["U8",[1],[0,1]]}', 1), (b'{"a":null}', 0), (b'{"a":{}}', 0),
        (b'{"__metadata__":null}', 0), (b'{"__metadata__":{"a":1}}', 0), (b'{"__metadata__":[]}', 0),
        (b'{"__metadata__":{"a":"1","a":"2"}}', 0), (b'{"__metadata__":{},"__metadata__":{}}', 0),
        (b'{"a":' + one + b"}", 2), (b'{"a":' + one + b"}", 0),
        (b'{"a":{"dtype":"F4_X","shape":[1],"data_offsets":[0,1]}}', 1),
        (b'{"a":{"dtype":"u8","shape":[1],"data_offsets":[0,1]}}', 1),
        (b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}', 1),
        (b'{"a":{"dtype":"F4","shape":[1],"data_offsets":[0,1]}}', 1),
        (b'{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}', 1),
        (b'{"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}', 3),
        (b'{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}', 8),
    ]
    for shape in ("[]", "[1.0]", "[1e0]", "[-1]", "[-0]", '["1"]', "[null]", "[[1]]", "1", "null", "[01]", "[1,]", "[1,1]"):
        headers.append((f'{{"a":{{"dtype":"U8","shape":{shape},"data_offsets":[0,1]}}}}'.encode(), 1))
    for shape in ("[4294967296,4294967296]", "[2,18446744073709551614]", "[18446744073709551615,0]",
                  "[18446744073709551615,2,0]", "[0,18446744073709551616]", "[9007199254740993,0]", "[0]", "[0,0]"):
        headers.append((f'{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}'.encode(), 0))
    for offsets in ("[0]", "[0,1,1]", "[1,2]", "[1,0]", "[-1,0]", "[0.0,1]", '["0","1"]', "{}", "[0,18446744073709551616]"):
        headers.append((f'{{"a":{{"dtype":"U8","shape":[1],"data_offsets":{offsets}}}}}'.encode(), 1))
    for first, second, size in (((0, 2), (2, 4), 4), ((2, 4), (0, 2), 4), ((0, 2), (1, 3), 3), ((0, 2), (3, 5), 5),
                                ((0, 2), (0, 2), 2), ((1, 3), (3, 5), 5)):
        headers.append((json.dumps({
            "a": {"dtype": "U8", "shape": [2], "data_offsets": first},
            "b": {"dtype": "U8", "shape": [2], "data_offsets": second},
        }).encode(), size))
    result = {
        "library": f"safetensors {safetensors.__version__}",
        "base": base.hex(),
        "replacements": replacements.hex(),
        "replaced": ["".join(map(str, row)) for row in replaced],
        "removed": "".join(map(str, removed)),
        "cut": "".join(map(str, cut)),
        "headers": [[header.hex(), size, verdict(file(header, bytes(size)))] for header, size in headers],
    }
    (OUT / "verdicts.json").write_text(json.dumps(result, indent=1) + "\n")


OUT.mkdir(parents=True, exist_ok=True)
mixed()
adapter()
numbers()
verdicts()
