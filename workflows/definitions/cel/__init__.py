"""The Common Expression Language over JSON: read to a tree, compiled to closures.

The language is cel-spec's (https://github.com/google/cel-spec), with what events need:

- a missing attribute, key or index is null, at any depth;
- in logic (`!`, `&&`, `||`, `? :`) null counts as false;
- ints and floats mix in arithmetic, as JSON does not keep them apart;
- evaluation is bounded in text, depth and work; `matches` runs in linear time (RE2).

No bytes, messages or unsigned arithmetic: JSON has none.
"""
