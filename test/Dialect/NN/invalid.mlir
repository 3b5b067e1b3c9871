// RUN: mbc-opt %s --verify-diagnostics --split-input-file -o /dev/null

// Each case is of the constraint of dialects/NN/README.md that it names.

// N01
nn.model @M for ["A"] {
  // expected-error@+1 {{axis 'h' has size 0, expected a positive one}}
  nn.param @w : !nn.tensor<[h = 0], weight>
}

// -----

// N02
nn.model @M for ["A"] {
  // expected-error@+1 {{part 'a' of axis 's' is named twice}}
  nn.param @w : !nn.tensor<[s = {a: 1, a: 1}], weight>
}

// -----

// N02
nn.model @M for ["A"] {
  // expected-error@+1 {{part 'a' of axis 's' has size '2' and loses its axis, which only a 1 may}}
  nn.param @w : !nn.tensor<[s = {a: 2, b: 1}], weight>
}

// -----

// N03
nn.model @M for ["A"] {
  // expected-error@+1 {{axis 'h' is on one side of [h, h] twice}}
  nn.param @w : !nn.tensor<[h = 2, h = 2], weight>
}

// -----

// N03
nn.model @M for ["A"] {
  // expected-error@+1 {{axis 'h' is on one side of [h : h ; h] twice}}
  nn.param @w : !nn.tensor<[h = 2 : h = 2 | h = 2], weight>
}

// -----

// N04
nn.model @M for ["A"] {
  // expected-error@+1 {{unknown element kind 'fp8'; expected weight, act, f32 or i32}}
  nn.param @w : !nn.tensor<[h = 2], fp8>
}

// -----

// N04
nn.model @M for ["A"] {
  // expected-error@+1 {{a value must be a vector, found [h ; h]}}
  nn.param @w : !nn.tensor<[h = 2 | h = 2], act>
}

// -----

// N04
nn.model @M for ["A"] {
  // expected-error@+1 {{axis 't' of a parameter needs a size}}
  nn.param @w : !nn.tensor<[t = ?], weight>
}

// -----

// N05
nn.model @M for ["A"] {
  // expected-error@+1 {{must be of element kind 'weight', found 'act'}}
  nn.param @w : !nn.tensor<[h = 2], act>
}

// -----

// N06
nn.model @M for ["A"] {
  // expected-error@+1 {{unknown axis 'v' of [h]}}
  nn.param @w : !nn.tensor<[h = 2], weight> shard [#nn.shard<"v" over "tp">]
}

// -----

// N06
nn.model @M for ["A"] {
  // expected-error@+1 {{unknown part 'c' of axis 's = a: 1 + b: 1'}}
  nn.param @w : !nn.tensor<[s = {a: 1, b: 1}], weight> shard [#nn.shard<"s.c" over "tp">]
}

// -----

// N07
nn.model @M for ["A"] {
  // expected-error@+1 {{unknown mesh axis 'pp'; expected tp, ep or etp}}
  nn.param @w : !nn.tensor<[h = 2], weight> shard [#nn.shard<"h" over "pp">]
}

// -----

// N08
nn.model @M for ["A"] {
  // expected-error@+1 {{mesh axis 'tp' is used twice}}
  nn.param @w : !nn.tensor<[h = 2, v = 2], weight> shard [#nn.shard<"h" over "tp">, #nn.shard<"v" over "tp">]
}

// -----

// N08
nn.model @M for ["A"] {
  // expected-error@+1 {{'h' is sharded twice}}
  nn.param @w : !nn.tensor<[h = 2], weight> shard [#nn.shard<"h" over "tp">, #nn.shard<"h" over "ep">]
}

// -----

// N09
nn.model @M for ["A"] {
  // expected-error@+1 {{unknown axis 'v' of [h]}}
  nn.param @w : !nn.tensor<[h = 2], weight> pad ["v"]
}

// -----

// N10
// expected-error@+1 {{needs an architecture name}}
nn.model @M for [] { }

// -----

// N11
nn.model @M for ["A"] {
  // expected-error@+1 {{case 'a' is there twice}}
  nn.variant @v from [] tag ["type"] cases [[["a"]], [["b", "a"]]]
}

// -----

// N11
nn.model @M for ["A"] {
  // expected-error@+1 {{case must start with its tags}}
  nn.variant @v from [] tag ["type"] cases [["a"]]
}

// -----

// N11
nn.model @M for ["A"] {
  // expected-error@+1 {{must list [field] or [field, default]}}
  nn.variant @v from [] tag ["type"] cases [[["a"], ["f", 1, 2]]]
}

// -----

// N12
nn.model @M for ["A"] {
  // expected-error@+1 {{must end with 'nn.yield'}}
  nn.block @B (%x: !nn.tensor<[t = ?], act>) {
    %0 = nn.none : !nn.tensor<[t = ?], act>
  }
}

// -----

// N13
nn.model @M for ["A"] {
  // expected-error@+1 {{has a condition of a tie, but no tie}}
  nn.param @w : !nn.tensor<[h = 2], weight> tie_when @c
}

// -----

// N14
nn.model @M for ["A"] {
  nn.func @f () {
    // expected-error@+1 {{unknown parameter 'v'}}
    %0 = nn.get @v : !nn.tensor<[h = 2], weight>
    nn.yield
  }
}

// -----

// N14
nn.model @M for ["A"] {
  // expected-note@+1 {{the parameter has}}
  nn.param @w : !nn.tensor<[h = 2], weight>
  nn.func @f () {
    // expected-error@+1 {{has type}}
    %1 = nn.get @w : !nn.tensor<[h = 3], weight>
    nn.yield
  }
}

// -----

// N15
nn.model @M for ["A"] {
  nn.block @B () { nn.yield }
  nn.func @f () {
    // expected-note@+1 {{the first is here}}
    nn.call @B() as "b" : () -> ()
    // expected-error@+1 {{'b' is named twice}}
    nn.call @B() as "b" : () -> ()
    nn.yield
  }
}

// -----

// N16
nn.model @M for ["A"] {
  nn.block @A () {
    nn.call @B() as "b" : () -> ()
    nn.yield
  }
  nn.block @B () {
    // expected-note@+1 {{calls 'C'}}
    nn.call @C() as "c" : () -> ()
    nn.yield
  }
  nn.block @C () {
    // expected-error@+1 {{block 'B' contains itself}}
    nn.call @B() as "b" : () -> ()
    nn.yield
  }
}

// -----

// N17
nn.model @M for ["A"] {
  nn.func @f () {
    // expected-error@+1 {{unknown block 'C'}}
    nn.call @C() as "c" : () -> ()
    nn.yield
  }
}

// -----

// N17
nn.model @M for ["A"] {
  // expected-note@+1 {{the block is here}}
  nn.block @B () { nn.yield }
  nn.func @f (%x: !nn.tensor<[u = ?], act>) {
    // expected-error@+1 {{does not fit block 'B'}}
    nn.call @B(%x) as "d" : (!nn.tensor<[u = ?], act>) -> ()
    nn.yield
  }
}

// -----

// N17
nn.model @M for ["A"] {
  nn.func @f (%x: !nn.tensor<[u = ?], act>) {
    // expected-error@+1 {{unknown layers 'm'}}
    %0 = nn.run @m(%x) : (!nn.tensor<[u = ?], act>) -> !nn.tensor<[u = ?], act>
    nn.yield
  }
}

// -----

// N17
nn.model @M for ["A"] {
  // expected-note@+1 {{the layers are here}}
  nn.layers @l of 2 (%x: !nn.tensor<[t = ?], act>) { nn.yield %x : !nn.tensor<[t = ?], act> }
  nn.func @f (%x: !nn.tensor<[u = ?], act>) {
    // expected-error@+1 {{does not fit layers 'l'}}
    %1 = nn.run @l(%x) : (!nn.tensor<[u = ?], act>) -> !nn.tensor<[u = ?], act>
    nn.yield
  }
}

// -----

// N18
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?], act>) {
  // expected-error@+1 {{branches must yield the types of the results}}
  %0 = nn.if @c -> (!nn.tensor<[u = ?], act>) {
    nn.yield %x : !nn.tensor<[t = ?], act>
  } else {
    nn.yield %x : !nn.tensor<[t = ?], act>
  }
  nn.yield
} }

// -----

// N19
nn.model @M for ["A"] {
  // expected-error@+1 {{must yield one value of the type of its first argument}}
  nn.layers @l of 2 (%x: !nn.tensor<[t = ?], act>) { nn.yield }
}

// -----

// N20
nn.model @M for ["A"] { nn.func @f (%i: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[v = 9| h = 4], weight>) {
  // expected-error@+1 {{the ids of 'embedding' must be integers, found [t, h] of 'act'}}
  %0 = nn.embedding %i, %w : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[v = 9| h = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N21
nn.model @M for ["A"] { nn.func @f (%i: !nn.tensor<[t = ?], i32>, %w: !nn.tensor<[h = 4], weight>) {
  // expected-error@+1 {{the table of 'embedding' must be [rows ; columns], found [h]}}
  %0 = nn.embedding %i, %w : (!nn.tensor<[t = ?], i32>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N22
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[h = 4], weight>) {
  // expected-error@+1 {{the weight of 'linear' must be [out ; in], found [h]}}
  %0 = nn.linear %x, %w : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N23
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[o = 2| f = 4], weight>) {
  // expected-error@+1 {{'linear' contracts [f] of [o ; f] with the last axes of [t, h]: expected [f], found [h]}}
  %0 = nn.linear %x, %w : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[o = 2| f = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N23
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[o = 2| h = 5], weight>) {
  // expected-error@+1 {{expected size '5' of axis 'h', found '4'}}
  %0 = nn.linear %x, %w : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[o = 2| h = 5], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N24
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, o = 2, h = 4], act>, %w: !nn.tensor<[o = 2| h = 4], weight>) {
  // expected-error@+1 {{axis 'o' is on one side of [t, o, o] twice}}
  %0 = nn.linear %x, %w : (!nn.tensor<[t = ?, o = 2, h = 4], act>, !nn.tensor<[o = 2| h = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N25
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[o = 2| h = 4], weight>, %b: !nn.tensor<[h = 4], weight>) {
  // expected-error@+1 {{the bias of 'linear' has not the out axes of the weight: expected [o], found [h]}}
  %0 = nn.linear %x, %w, %b : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[o = 2| h = 4], weight>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N26
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[f = 4], weight>) {
  // expected-error@+1 {{the weight of a norm must have the last axes of [t, h]: expected [f], found [h]}}
  %0 = nn.rms_norm %x, %w {eps = 1.0} : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[f = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N27
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[h = 4], weight>, %b: !nn.tensor<[f = 4], weight>) {
  // expected-error@+1 {{the bias of a norm must have the axes of its weight: expected [h], found [f]}}
  %0 = nn.layer_norm %x, %w, %b {eps = 1.0} : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[h = 4], weight>, !nn.tensor<[f = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N28
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>) {
  // expected-error@+1 {{unknown axis 's' of [t, h]}}
  %0 = nn.split %x {axis = "s"} : (!nn.tensor<[t = ?, h = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N28
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>) {
  // expected-error@+1 {{axis 'h' is not a sum axis, 'split' needs named parts}}
  %0 = nn.split %x {axis = "h"} : (!nn.tensor<[t = ?, h = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N29
nn.model @M for ["A"] { nn.func @f (%q: !nn.tensor<[t = ?, n = 2, d = 4], act>, %w: !nn.tensor<[t = ?, h = 4], act>) {
  // expected-error@+1 {{the windows of 'attention' must be integers, found [t, h] of 'act'}}
  %0 = nn.attention %q, %q, %q, %w {causal = true, scale = 1.0} : (!nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, h = 4], act>) -> !nn.tensor<[t = ?, n = 2, d = 4], act>
  nn.yield
} }

// -----

// N30
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>) {
  // expected-error@+1 {{'join' of 's = a: 1 + b: 1' needs 2 values, found 1}}
  %0 = nn.join %x {axis = #nn.axis<s = {a: 1, b: 1}>} : (!nn.tensor<[t = ?, h = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N31
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %y: !nn.tensor<[t = ?, f = 4], act>) {
  // expected-error@+1 {{part 'b' of 's = a: 1 + b: 1' differs in other axes: expected [t, h], found [t, f]}}
  %0 = nn.join %x, %y {axis = #nn.axis<s = {a: 1, b: 1}>} : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[t = ?, f = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N31
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %y: !nn.tensor<[t = ?, f = 4], act>) {
  // expected-error@+1 {{part 'b' of 's = a: 4 + b: 5' needs axis 'h' of size '5' at place 1, found [t, f]}}
  %0 = nn.join %x, %y {axis = #nn.axis<s = {a: h = 4, b: h = 5}>} : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[t = ?, f = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N32
nn.model @M for ["A"] { nn.func @f (%q: !nn.tensor<[t = ?, n = 2, d = 4], act>, %k: !nn.tensor<[t = ?, n = 2, e = 4], act>) {
  // expected-error@+1 {{'rope' rotates the last axis of both operands, found [t, n, d] and [t, n, e]}}
  %0:2 = nn.rope %q, %k {theta = 1.0, scaling = unit} : (!nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, e = 4], act>) -> (!nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, e = 4], act>)
  nn.yield
} }

// -----

// N33
nn.model @M for ["A"] { nn.func @f (%q: !nn.tensor<[t = ?, n = 2, d = 4], act>) {
  // expected-error@+1 {{the positions of 'rope' must be integers, found [t, n, d] of 'act'}}
  %0:2 = nn.rope %q, %q, %q {theta = 1.0, scaling = unit} : (!nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>) -> (!nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>)
  nn.yield
} }

// -----

// N34
nn.model @M for ["A"] { nn.func @f (%q: !nn.tensor<[t = ?, n = 2, d = 4], act>, %v: !nn.tensor<[t = ?, m = 2, d = 4], act>) {
  // expected-error@+1 {{keys and values of 'attention' differ: expected [t, n], found [t, m]}}
  %0 = nn.attention %q, %q, %v {causal = true, scale = 1.0} : (!nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, m = 2, d = 4], act>) -> !nn.tensor<[t = ?, n = 2, d = 4], act>
  nn.yield
} }

// -----

// N35
nn.model @M for ["A"] { nn.func @f (%q: !nn.tensor<[t = ?, m = 2, g = 3, d = 4], act>, %k: !nn.tensor<[t = ?, n = 2, d = 4], act>) {
  // expected-error@+1 {{queries of 'attention' must start as the keys do: expected [t, n], found [t, m]}}
  %0 = nn.attention %q, %k, %k {causal = true, scale = 1.0} : (!nn.tensor<[t = ?, m = 2, g = 3, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>) -> !nn.tensor<[t = ?, n = 2, d = 4], act>
  nn.yield
} }

// -----

// N36
nn.model @M for ["A"] { nn.func @f (%a: !nn.tensor<[t = ?, n = 2, d = 4], act>, %c: !nn.tensor<[t = ?, c = 6], act>, %r: !nn.tensor<[t = ?, d = 4], act>, %u: !nn.tensor<[n = 2, kv = {k: x = 5, v: y = 3}| c = 6], weight>) {
  // expected-error@+1 {{part 'k' of 'kv = k: 5 + v: 3' must have the size '4' of axis 'd'}}
  %0 = nn.mla_attention %a, %a, %c, %r, %u {causal = true, scale = 1.0} : (!nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, n = 2, d = 4], act>, !nn.tensor<[t = ?, c = 6], act>, !nn.tensor<[t = ?, d = 4], act>, !nn.tensor<[n = 2, kv = {k: x = 5, v: y = 3}| c = 6], weight>) -> !nn.tensor<[t = ?, n = 2, y = 3], act>
  nn.yield
} }

// -----

// N37
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>) {
  // expected-error@+1 {{unknown pointwise function 'tanh'; expected silu, gelu, sigmoid, add, mul or sub}}
  %0 = nn.map %x {kind = "tanh"} : (!nn.tensor<[t = ?, h = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N37
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>) {
  // expected-error@+1 {{'add' needs 2 operands, found 1}}
  %0 = nn.map %x {kind = "add"} : (!nn.tensor<[t = ?, h = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N38
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %y: !nn.tensor<[t = ?, f = 4], act>) {
  // expected-error@+1 {{'mul' needs equal axes: expected [t, h], found [t, f]}}
  %0 = nn.map %x, %y {kind = "mul"} : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[t = ?, f = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N39
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?], act>) {
  // expected-error@+1 {{the logits of 'route' must be [tokens, experts], found [t]}}
  %0:2 = nn.route %x {score = "softmax", topk = 2, renorm = true, groups = 1, group_topk = 1, scale = 1.0} : (!nn.tensor<[t = ?], act>) -> (!nn.tensor<[t = ?], act>, !nn.tensor<[t = ?], act>)
  nn.yield
} }

// -----

// N40
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, e = 4], act>, %c: !nn.tensor<[f = 4], weight>) {
  // expected-error@+1 {{the correction of 'route' must be of the experts: expected [e], found [f]}}
  %0:2 = nn.route %x, %c {score = "softmax", topk = 2, renorm = true, groups = 1, group_topk = 1, scale = 1.0} : (!nn.tensor<[t = ?, e = 4], act>, !nn.tensor<[f = 4], weight>) -> (!nn.tensor<[t = ?], act>, !nn.tensor<[t = ?], act>)
  nn.yield
} }

// -----

// N41
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %i: !nn.tensor<[u = ?, k = 2], i32>) {
  // expected-error@+1 {{'dispatch' needs [tokens, ...] and [tokens, topk], found [t, h] and [u, k]}}
  %0 = nn.dispatch %x, %i : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[u = ?, k = 2], i32>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N42
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[o = 2| h = 4], weight>) {
  // expected-error@+1 {{the weight of 'grouped_linear' must be [experts : out ; in], found [o ; h]}}
  %0 = nn.grouped_linear %x, %w : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[o = 2| h = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N42
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[e = 2 : o = 2| f = 4], weight>) {
  // expected-error@+1 {{'grouped_linear' contracts [f] of [e : o ; f] with [t, h]: expected [f], found [h]}}
  %0 = nn.grouped_linear %x, %w : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[e = 2 : o = 2| f = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N43
nn.model @M for ["A"] { nn.func @f (%y: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[t = ?, k = 2], act>, %i: !nn.tensor<[t = ?, k = 3], i32>) {
  // expected-error@+1 {{weights and indices of 'combine' differ: expected size '3' of axis 'k', found '2'}}
  %0 = nn.combine %y, %w, %i : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[t = ?, k = 2], act>, !nn.tensor<[t = ?, k = 3], i32>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N44
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[n = 4, h = 4], act>) {
  // expected-error@+1 {{'merge' makes one row of 3, and 4 are no multiple of them}}
  %0 = nn.merge %x {count = 3, axis = "s"} : (!nn.tensor<[n = 4, h = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N44
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[n = 4], act>) {
  // expected-error@+1 {{'merge' needs [tokens, ...], found [n]}}
  %0 = nn.merge %x {count = 4, axis = "s"} : (!nn.tensor<[n = 4], act>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N45
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %f: !nn.tensor<[t = ?, f = 4], act>, %i: !nn.tensor<[t = ?], i32>) {
  // expected-error@+1 {{the features of 'place' are no rows of [t, h]: expected [h], found [f]}}
  %0 = nn.place %x, %f, %i {token = 7} : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[t = ?, f = 4], act>, !nn.tensor<[t = ?], i32>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N46
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, k = 2], i32>) {
  // expected-error@+1 {{the operand of 'shift' must be [tokens], found [t, k]}}
  %0 = nn.shift %x {by = 1} : (!nn.tensor<[t = ?, k = 2], i32>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N47
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %i: !nn.tensor<[u = ?], i32>) {
  // expected-error@+1 {{the labels of 'cross_entropy' must be of the tokens: expected [t], found [u]}}
  %0 = nn.cross_entropy %x, %i : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[u = ?], i32>) -> !nn.tensor<[], act>
  nn.yield
} }

// -----

// N48
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %w: !nn.tensor<[o = 2| h = 4], weight>) {
  // expected-error@+1 {{result has type}}
  %0 = nn.linear %x, %w : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[o = 2| h = 4], weight>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N48
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, s = {a: 1, b: 1}], act>) {
  // expected-error@+1 {{has 1 results, expected 2}}
  %0 = nn.split %x {axis = "s"} : (!nn.tensor<[t = ?, s = {a: 1, b: 1}], act>) -> !nn.tensor<[t = ?], act>
  nn.yield
} }

// -----

// N49
nn.model @M for ["A"] { nn.func @f (%x: !nn.tensor<[t = ?, h = 4], act>, %i: !nn.tensor<[t = ?, k = 2], i32>) {
  // expected-error@+1 {{'reorder' needs [rows, ...] and [order], found [t, h] and [t, k]}}
  %0 = nn.reorder %x, %i : (!nn.tensor<[t = ?, h = 4], act>, !nn.tensor<[t = ?, k = 2], i32>) -> !nn.tensor<[t = ?, h = 4], act>
  nn.yield
} }

// -----

// N50
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x", "i"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>, %i: !nn.tensor<[n = 2, m = 2], i32>) {
    // expected-error@+1 {{'take' needs [rows, ...] and [list], found [tokens, h] and [n, m]}}
    %y = nn.take %x, %i : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[n = 2, m = 2], i32>) -> !nn.tensor<[n = 2, h = 4], act>
    nn.yield %y : !nn.tensor<[n = 2, h = 4], act>
  }
}

// -----

// N50
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{the list of 'take'}}
    %y = nn.take %x, %x : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act>
    nn.yield %y : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N48
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x", "i"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>, %i: !nn.tensor<[n = 2], i32>) {
    // expected-error@+1 {{result has type '!nn.tensor<[tokens = 3, h = 4], act>', expected '!nn.tensor<[n = 2, h = 4], act>'}}
    %y = nn.take %x, %i : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[n = 2], i32>) -> !nn.tensor<[tokens = 3, h = 4], act>
    nn.yield %y : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N51
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{has 1 inputs and 2 names of them}}
  nn.entry @e ["x", "z"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    nn.yield %x : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N51
nn.graph @G attributes {values = {}} {
  // expected-error@+1 {{has 1 results and 0 names of them}}
  nn.entry @e ["x"] -> [] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    nn.yield %x : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N51
nn.model @M for ["A"] {
  // expected-error@+1 {{has 1 inputs and 2 names of them}}
  nn.func @f ["x", "z"] (%x: !nn.tensor<[t = ?], act>) {
    nn.yield %x : !nn.tensor<[t = ?], act>
  }
}

// -----

// N52
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{unknown weight 'w'}}
    %w = nn.weight @w : <[h = 4], weight>
    nn.yield %x : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N52
nn.graph @G attributes {values = {}} {
  // expected-note@+1 {{the weight has '!nn.tensor<[h = 5], weight>'}}
  nn.weights @w : !nn.tensor<[h = 5], weight>
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{has type '!nn.tensor<[h = 4], weight>'}}
    %w = nn.weight @w : <[h = 4], weight>
    nn.yield %x : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N53
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{must give back the type of its first operand}}
    %y = nn.repeat "d"(%x) runs [array<i64: 0, 0, 2>] : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 5], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>):
    nn.yield %a : !nn.tensor<[tokens = 3, h = 4], act>
    }
    nn.yield %y : !nn.tensor<[tokens = 3, h = 5], act>
  }
}

// -----

// N53
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{kind does not take the operands}}
    %y = nn.repeat "d"(%x) runs [array<i64: 0, 0, 2>] : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 5], act>):
    nn.yield %a : !nn.tensor<[tokens = 3, h = 5], act>
    }
    nn.yield %y : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N53
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{run must be [kind, first, count]}}
    %y = nn.repeat "d"(%x) runs [array<i64: 0, 0>] : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>):
    nn.yield %a : !nn.tensor<[tokens = 3, h = 4], act>
    }
    nn.yield %y : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N53
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{run of kind 1, of 1}}
    %y = nn.repeat "d"(%x) runs [array<i64: 1, 0, 2>] : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>):
    nn.yield %a : !nn.tensor<[tokens = 3, h = 4], act>
    }
    nn.yield %y : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N53
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{run starts at layer 3, expected 2}}
    %y = nn.repeat "d"(%x) runs [array<i64: 0, 0, 2>, array<i64: 0, 3, 1>] : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>):
    nn.yield %a : !nn.tensor<[tokens = 3, h = 4], act>
    }
    nn.yield %y : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N53
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{kind must yield one value of the carried type}}
    %y = nn.repeat "d"(%x) runs [array<i64: 0, 0, 2>] : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>):
    nn.yield %a, %a : !nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[tokens = 3, h = 4], act>
    }
    nn.yield %x : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N54
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{body does not take the operands}}
    %y = nn.cluster(%x) : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 5], act>):
    nn.yield %a : !nn.tensor<[tokens = 3, h = 5], act>
    }
    nn.yield %x : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N54
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{must yield its results}}
    %y = nn.cluster(%x) : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 5], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>):
    nn.yield %a : !nn.tensor<[tokens = 3, h = 4], act>
    }
    nn.yield %x : !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// -----

// N54
nn.graph @G attributes {values = {}} {
  nn.entry @e ["x"] -> ["y"] (%x: !nn.tensor<[tokens = 3, h = 4], act>) {
    // expected-error@+1 {{holds 'nn.linear', which is no row operation}}
    %y = nn.cluster(%x) : (!nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>):
    %w = nn.linear %a, %a : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act>
    nn.yield %w : !nn.tensor<[tokens = 3, h = 4], act>
    }
    nn.yield %x : !nn.tensor<[tokens = 3, h = 4], act>
  }
}
