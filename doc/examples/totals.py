"""Invoices are JSON values; this writes each one's total to another store.

    blt map invoices.blt --framed --to totals.blt --create \\
            --value-serializer json -- python3 totals.py

    {"customer": "ann", "lines": [{"price": 3, "number": 2}]}
        under 2024/17.json  becomes  {"total": 6}  under  ann/2024/17
"""

import json

from blt_worker import Skip, serve


@serve
def totals(key, value):
    invoice = json.loads(value)
    if not invoice["lines"]:
        raise Skip
    total = sum(line["price"] * line["number"] for line in invoice["lines"])
    name = key.decode().removesuffix(".json")
    yield (f"{invoice['customer']}/{name}".encode(),
           json.dumps({"total": total}).encode())
