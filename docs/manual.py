#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""manual.py FILE.md NAME SECTION WHAT: a manual page of a document in docs/, on standard output.

It knows what those documents have: headings, paragraphs, lists, tables whose first column is what they are about, blocks of
text as it is, and within lines `code`, **bold** and [links](to)."""

import re
import sys


def escape(s):
    s = s.replace("\\", r"\e").replace("-", r"\-").replace("\u2026", "...")
    return r"\&" + s if s.startswith((".", "'")) else s


def inline(s):
    """Fonts; what is a link elsewhere is its text here."""
    s = re.sub(r"\[([^]]*)\]\(([^)]*)\)", r"\1", s.replace(r"\|", "|"))
    out = []
    for part in re.split(r"(`[^`]*`|\*\*[^*]*\*\*)", s):
        if part.startswith("`"):
            out.append(r"\fB" + escape(part[1:-1]).removeprefix(r"\&") + r"\fR")
        elif part.startswith("**"):
            out.append(r"\fB" + escape(part[2:-2].replace("`", "")) + r"\fR")
        else:
            out.append(escape(part) if not out else escape(part).removeprefix(r"\&"))
    return "".join(out)


def cells(line):
    return [c.strip() for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table(lines, out):
    head = cells(lines[0])
    for line in lines[2:]:
        row = cells(line)
        out += [".TP", inline(row[0]) or r"\&"]
        # Type, default and range in one line, named; then the text.
        facts = [f"{name}: {inline(v)}" for name, v in zip(head[1:], row[1:]) if name and v]
        text = [inline(v) for name, v in zip(head[1:], row[1:]) if not name and v]
        out.append("; ".join(facts) + (". " if facts and text else "") + " ".join(text) or r"\&")


def blocks(lines):
    """(kind, lines) one after the other."""
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.startswith("```"):
            end = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            yield "text", lines[i + 1:end]
            i = end + 1
        elif line.startswith("    ") or line.startswith("|") or line.startswith("- "):
            kind = {" ": "text", "|": "table", "-": "list"}[line[0]]
            more = {"text": ("    ",), "table": ("|",), "list": ("- ", "  ")}[kind]
            end = i
            while end < len(lines) and lines[end].startswith(more):
                end += 1
            yield kind, [x[4:] if kind == "text" else x for x in lines[i:end]]
            i = end
        elif line.startswith("#"):
            yield "heading", [line]
            i += 1
        elif line.strip():
            end = i
            while end < len(lines) and lines[end].strip() and not lines[end].startswith(("```", "|", "- ", "#")):
                end += 1
            yield "paragraph", lines[i:end]
            i = end
        else:
            i += 1


def page(text, name, section, what):
    out = [r'.\" SPDX-License-Identifier: BSD-3-Clause', r'.\" Made by docs/manual.py: do not edit.',
           f'.TH {name.upper()} {section} "" cygnet "cygnet"', ".SH NAME", rf"{escape(name)} \- {what}", ".SH DESCRIPTION"]
    lines = [x for x in text.splitlines() if not x.startswith("<!--")]
    for kind, body in blocks(lines):
        if kind == "heading":
            level, title = body[0].split(" ", 1)
            if len(level) > 1:  # the first is the page's own name
                out.append((".SH " if len(level) == 2 else ".SS ") + inline(title.upper() if len(level) == 2 else title))
        elif kind == "paragraph":
            out += [".PP", *(inline(x) for x in [" ".join(body)])]
        elif kind == "list":
            for item in re.split(r"\n(?=- )", "\n".join(body)):
                out += [r".IP \(bu 2", inline(" ".join(x.strip() for x in item[2:].splitlines()))]
        elif kind == "table":
            table(body, out)
        else:
            out += [".PP", ".RS 4", ".nf", *(escape(x) or r"\&" for x in body), ".fi", ".RE"]
    out += [".SH SEE ALSO", r"\fBcygnet\fR(8), \fBcygnetctl\fR(8), \fBcygnet\-ike\fR(5), \fBrouter.yaml\fR(5), "
            r"\fBkernel\-cygnet\fR(5), \fBcygnet\-agent\fR(8)"]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as f:
        sys.stdout.reconfigure(encoding="utf-8")
        sys.stdout.write(page(f.read(), *sys.argv[2:5]))
