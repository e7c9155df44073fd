"""Packs a CSV of digits (label first, then 64 pixels of 0..16) into digits.bin.gz: one byte a value, 65 bytes a record.

Usage: python3 pack_digits.py digits.csv. scikit-learn carries the same 1797 digits in the same order (datasets/data/digits.csv.gz, label last).
"""
import gzip
import pathlib
import sys

rows = [[int(v) for v in line.split(",")] for line in open(sys.argv[1]) if line[:1].isdigit()]
assert all(len(r) == 65 and r[0] < 10 and max(r[1:]) <= 16 for r in rows)
packed = gzip.compress(b"".join(bytes(r) for r in rows), 9, mtime=0)
(pathlib.Path(__file__).parent / "digits.bin.gz").write_bytes(packed)
print(len(rows), "records,", len(packed), "bytes")
