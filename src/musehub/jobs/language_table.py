"""Which language a file is written in, by its name or its first line."""

from __future__ import annotations

_EXTENSIONS = {
    "Ada": "adb ads",
    "Assembly": "asm s",
    "C": "c h",
    "C#": "cs",
    "C++": "cc cpp cxx hh hpp hxx ipp",
    "CMake": "cmake",
    "CSS": "css less sass scss",
    "Clojure": "clj cljc cljs edn",
    "CoffeeScript": "coffee",
    "Common Lisp": "lisp lsp",
    "CSound": "csd orc sco",
    "Cuda": "cu cuh",
    "D": "d",
    "Dart": "dart",
    "Elixir": "ex exs",
    "Elm": "elm",
    "Emacs Lisp": "el",
    "Erlang": "erl hrl",
    "F#": "fs fsi fsx",
    "Faust": "dsp",
    "Fortran": "f f90 f95 f03 for",
    "GLSL": "frag glsl vert",
    "Go": "go",
    "GraphQL": "gql graphql",
    "Groovy": "gradle groovy",
    "HCL": "hcl tf",
    "HTML": "htm html jinja jinja2 xhtml",
    "Haskell": "hs lhs",
    "Java": "java",
    "JavaScript": "cjs js jsx mjs",
    "Julia": "jl",
    "Jupyter Notebook": "ipynb",
    "Kotlin": "kt kts",
    "LilyPond": "ily ly",
    "Lua": "lua",
    "MATLAB": "mat mlx",
    "Makefile": "mak mk",
    "Nim": "nim",
    "Nix": "nix",
    "OCaml": "ml mli",
    "Objective-C": "m mm",
    "PHP": "php phtml",
    "Pascal": "dpr pas pp",
    "Perl": "pl pm",
    "PowerShell": "ps1 psm1",
    "Prolog": "pro prolog",
    "Protocol Buffers": "proto",
    "Python": "py pyi pyw pyx",
    "R": "r rmd",
    "Racket": "rkt",
    "Ruby": "erb gemspec rake rb",
    "Rust": "rs",
    "SQL": "sql",
    "Scala": "sbt scala",
    "Scheme": "scm ss",
    "Shell": "bash fish ksh sh zsh",
    "Solidity": "sol",
    "SuperCollider": "sc scd",
    "Svelte": "svelte",
    "Swift": "swift",
    "SystemVerilog": "sv svh",
    "Tcl": "tcl",
    "TeX": "bib cls sty tex",
    "TypeScript": "cts mts ts tsx",
    "VHDL": "vhd vhdl",
    "Verilog": "v",
    "Vim Script": "vim",
    "Visual Basic": "vb vbs",
    "Vue": "vue",
    "WebAssembly": "wat",
    "XSLT": "xsl xslt",
    "Zig": "zig",
    # not written to be run
    "AsciiDoc": "adoc asciidoc",
    "CSV": "csv tsv",
    "INI": "cfg conf ini properties",
    "JSON": "json json5 jsonc jsonl ndjson",
    "Markdown": "markdown md mdx",
    "SVG": "svg",
    "Text": "txt",
    "TOML": "toml",
    "XML": "plist rng xml xsd",
    "YAML": "yaml yml",
    "reStructuredText": "rst",
    # media
    "Audio": "aac aif aiff flac m4a mid midi mp3 ogg opus wav",
    "Images": "avif bmp gif heic ico jpeg jpg png psd tif tiff webp xcf",
    "MusicXML": "musicxml mxl",
    "Video": "avi m4v mkv mov mp4 mpeg mpg webm",
}
_NAMES = {
    "CMake": "CMakeLists.txt",
    "Dockerfile": "Containerfile Dockerfile",
    "Go": "go.mod",
    "Just": "Justfile justfile",
    "Makefile": "GNUmakefile Makefile makefile",
    "Nix": "flake.lock",
    "Ruby": "Gemfile Rakefile Vagrantfile",
    "Shell": ".bash_profile .bashrc .profile .zshrc",
}
_PROGRAMS = {
    "bash": "Shell",
    "dash": "Shell",
    "fish": "Shell",
    "guile": "Scheme",
    "julia": "Julia",
    "lua": "Lua",
    "node": "JavaScript",
    "perl": "Perl",
    "php": "PHP",
    "python": "Python",
    "ruby": "Ruby",
    "sh": "Shell",
    "tclsh": "Tcl",
    "zsh": "Shell",
}
OTHER = "Other"

_BY_EXTENSION = {suffix: name for name, suffixes in _EXTENSIONS.items() for suffix in suffixes.split()}
_BY_NAME = {file: name for name, files in _NAMES.items() for file in files.split()}


def find_language(path: str) -> str | None:
    """By name alone; None for a name without an extension, which the first line may explain."""
    name = path.rpartition("/")[2]
    if name in _BY_NAME:
        return _BY_NAME[name]
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem:
        return None
    return _BY_EXTENSION.get(extension.lower(), OTHER)


def language_of_shebang(content: bytes) -> str:
    """What `#!/usr/bin/env python3` and the like stand for."""
    if not content.startswith(b"#!"):
        return OTHER
    words = content[2:200].split(b"\n")[0].decode("latin-1").split()
    programs = [word.rpartition("/")[2] for word in words if not word.startswith("-") and "=" not in word]
    if programs and programs[0] == "env":
        del programs[0]
    return _PROGRAMS.get(programs[0].rstrip("0123456789."), OTHER) if programs else OTHER
