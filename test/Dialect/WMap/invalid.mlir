// RUN: mbc-opt --verify-diagnostics --split-input-file %s

// W01
wmap.mapping of "M" {
  // expected-error@+1 {{'norm' has neither an hf nor an mcore side}}
  wmap.entry "norm" loops [] hf []
}
// -----
// W02
wmap.mapping of "M" {
  // expected-error@+1 {{index 'l' is bound twice}}
  wmap.entry "norm" loops [#wmap.loop<"l" in "a", stack = true>, #wmap.loop<"l" in "b", stack = true>] hf [#wmap.alternative<<<"norm">, part = "", scaled = false>>]
}
// -----
// W03
wmap.mapping of "M" {
  // expected-error@+1 {{'norm' lists several tensors without parts}}
  wmap.entry "norm" loops [] hf [#wmap.alternative<<<"a">, part = "", scaled = false>, <<"b">, part = "", scaled = false>>]
}
// -----
// W04
wmap.mapping of "M" {
  // expected-error@+1 {{choice 2 is not one of 1 alternatives}}
  wmap.entry "norm" loops [] hf [#wmap.alternative<<<"a">, part = "", scaled = false>>] choice 2
}
// -----
// W05
wmap.plan @P layers 1 tp 1 pp 1 {
  // expected-error@+1 {{expected 1 box strides on each side}}
  wmap.copy "norm" loops [] box ["hidden"] [4] hf <"norm"> [4] "BF16" at 0 strides [] [] mcore <"norm"> [4] "BF16" at 0 strides [1] []
}
// -----
// W05
wmap.plan @P layers 1 tp 1 pp 1 {
  // expected-error@+1 {{expected 1 loop strides on each side}}
  wmap.copy "norm" loops [["l", "decoder", 0, 1, 1]] box ["hidden"] [4] hf <"norm"> [4] "BF16" at 0 strides [1] [] mcore <"norm"> [4] "BF16" at 0 strides [1] [0]
}
