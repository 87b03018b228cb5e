"""Opens OFD files with easyofd, which shares nothing with this project, and tells what it found, one JSON object a line.

    read.py FILE...  ->  {"file", "pages", "texts", "seals": [{"page", "box_mm", "drawn", "beside"}]}

A seal's picture is inside the signed value: the reader takes it out of the DER, and draws it where the signature file says.
`drawn` is the part of points inside the box that are not white, `beside` that of a frame around the box. Text is told as the
reader took it from the page; it is not drawn where the fonts that the page names are missing.
"""
import contextlib
import io
import json
import os
import sys
import tempfile
import warnings
import zipfile

warnings.simplefilter("ignore")
from loguru import logger

logger.remove()
with contextlib.redirect_stdout(io.StringIO()):
    from easyofd import OFD
    from easyofd.parser_ofd import file_deal, ofd_parser


def unpack(self):
    """In the place of the reader's own, which unpacks into what its working folder is called up to the first dot, and takes
    that folder away afterwards: it must never be one that was there before."""
    folder = tempfile.mkdtemp(prefix="ofd-")
    self.zip_path, self.unzip_path = os.path.join(folder, "paper.ofd"), os.path.join(folder, "unpacked")
    with open(self.zip_path, "wb") as out:
        out.write(self.ofdbyte)
    with zipfile.ZipFile(self.zip_path) as archive:
        archive.extractall(self.unzip_path)


file_deal.FileRead.unzip_file = unpack

# It asks every signature for its picture and stops at one that has none (Type="Sign"): there, nothing is to be drawn.
find = ofd_parser.OFDParser.get_xml_obj
ofd_parser.OFDParser.get_xml_obj = lambda self, label: find(self, label) if label else ""


def part_drawn(image, box):
    left, top, right, bottom = (max(0, round(v)) for v in box)
    cut = image.crop((left, top, min(right, image.width), min(bottom, image.height))).convert("L")
    counts = cut.histogram()
    return round(sum(counts[:250]) / max(1, sum(counts)), 4)


def read(path):
    ofd = OFD()
    ofd.read(path, fmt="path")
    data = ofd.data[0]
    pages = ofd.to_jpg()
    texts = [t["text"] for page in data["page_info"].values() for t in page["text_list"]]
    seals = []
    for page, found in (data.get("signatures_page_id") or {}).items():
        # Signatures that show nothing belong to no page.
        for seal in found if page is not None else []:
            x, y, w, h = (float(v) for v in seal["Boundary"].split())
            image, width_mm = pages[page], data["page_size"][page][2]
            mm = image.width / width_mm
            inner, pad = (x * mm, y * mm, (x + w) * mm, (y + h) * mm), 2 * mm
            above = (inner[0], inner[1] - pad, inner[2], inner[1] - 0.5 * mm)
            seals.append({"page": page, "box_mm": [x, y, w, h], "drawn": part_drawn(image, inner),
                          "beside": part_drawn(image, above)})
    return {"file": os.path.basename(path), "pages": len(pages), "texts": texts, "seals": seals}


for path in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        found = read(os.path.abspath(path))
    print(json.dumps(found, ensure_ascii=False))
