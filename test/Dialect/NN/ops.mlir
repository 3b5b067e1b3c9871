// RUN: mbc-opt %s | mbc-opt | FileCheck %s
// RUN: mbc-opt %s --emit-bytecode | mbc-opt | FileCheck %s

// CHECK: nn.model @M for ["A", "B"] attributes {obligations = [], values = {h = 64 : i64}} {
nn.model @M for ["A", "B"] attributes {obligations = [], values = {h = 64}} {
  // CHECK: nn.fields inert [#nn.expr<"field"("a.b", "self")>]
  nn.fields inert [#nn.expr<"field"("a.b", "self")>]
  // CHECK: nn.config @h = #nn.expr<"field"("hidden_size")> value 64 : i64
  nn.config @h = #nn.expr<"field"("hidden_size")> value 64
  // CHECK: nn.variant @rope from [#nn.expr<"field"("rope")>] tag ["type"] default "none" cases {{.*}} value {type = "none"}
  nn.variant @rope from [#nn.expr<"field"("rope")>] tag ["type"] default "none" cases [[["none", "off"]], [["linear"], ["factor"], ["base", 2.0]]] value {type = "none"}
  // CHECK: nn.require #nn.expr<"=="(@h, 64 : i64)> message "why"
  nn.require #nn.expr<"=="(@h, 64)> message "why"
  // CHECK: nn.unsupported #nn.expr<"field"("x")> unless true because "why"
  nn.unsupported #nn.expr<"field"("x")> unless true because "why"
  // CHECK: nn.dim @g = #nn.expr<"/"(@h, @n)> when @c value 3 : i64
  nn.dim @g = #nn.expr<"/"(@h, @n)> when @c value 3
  // CHECK: nn.param @w : !nn.tensor<[e = 4 : half = {a: g = @g, b: 1}, f = (#nn.expr<"+"(@h, 1 : i64)>) | h = @h], weight> shard [#nn.shard<"e" over "ep">, #nn.shard<"half.a", "f" over "etp">] pad ["f"] tie "v" tie_when @c dtype "f32" when @d
  nn.param @w : !nn.tensor<[e = 4 : half = {a: g = @g, b: 1}, f = (#nn.expr<"+"(@h, 1)>) | h = @h], weight> shard [#nn.shard<"e" over "ep">, #nn.shard<"half.a", "f" over "etp">] pad ["f"] tie "v" tie_when @c dtype "f32" when @d
  nn.param @table : !nn.tensor<[v = 9 | h = 4], weight>
  nn.param @out : !nn.tensor<[f = 8 | h = 4], weight>
  nn.param @bias : !nn.tensor<[f = 8], weight>
  nn.param @norm : !nn.tensor<[h = 4], weight>
  nn.param @qkv : !nn.tensor<[n = 2, slot = {q: g = 3, k: 1, v: 1}, d = 4 | h = 4], weight>
  nn.param @experts : !nn.tensor<[e = 5 : half = {a: 1, b: 1}, f = 8 | h = 4], weight>
  nn.param @down : !nn.tensor<[e = 5 : h = 4 | f = 8], weight>
  nn.param @router : !nn.tensor<[e = 5 | h = 4], weight>
  nn.param @corr : !nn.tensor<[e = 5], weight>
  nn.param @mq : !nn.tensor<[n = 2, qk = {a: nope = 4, b: rope = 2} | h = 4], weight>
  nn.param @mkv : !nn.tensor<[kv = {c: c = 6, r: rope = 2} | h = 4], weight>
  nn.param @up : !nn.tensor<[n = 2, kv = {k: nope = 4, v: vd = 3} | c = 6], weight>
  // CHECK: nn.block @Block (%{{.*}}: !nn.tensor<[tokens = ?, h = 4], act>) {
  nn.block @Block (%x: !nn.tensor<[tokens = ?, h = 4], act>) {
    nn.param @n : !nn.tensor<[h = 4], weight>
    // CHECK: nn.get @n
    %n = nn.get @n : !nn.tensor<[h = 4], weight>
    %y = nn.rms_norm %x, %n {eps = 1.0} : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[tokens = ?, h = 4], act>
    nn.yield %y : !nn.tensor<[tokens = ?, h = 4], act>
  }
  // CHECK: nn.layers @stack of 3 : i64 index "l" kinds [array<i64: 0, 0, 3>] (
  nn.layers @stack of 3 index "l" kinds [array<i64: 0, 0, 3>] (%x: !nn.tensor<[tokens = ?, h = 4], act>) {
    // CHECK: nn.if #nn.expr<"<"(@l, 1 : i64)> layers [0] -> (!nn.tensor<[tokens = ?, h = 4], act>) {
    %y = nn.if #nn.expr<"<"(@l, 1)> layers [0] -> (!nn.tensor<[tokens = ?, h = 4], act>) {
      // CHECK: nn.call @Block(%{{.*}}) as "a" :
      %0 = nn.call @Block(%x) as "a" : (!nn.tensor<[tokens = ?, h = 4], act>) -> !nn.tensor<[tokens = ?, h = 4], act>
      nn.yield %0 : !nn.tensor<[tokens = ?, h = 4], act>
    // CHECK: } else {
    } else {
      // CHECK: nn.none : <[tokens = ?, h = 4], act>
      %0 = nn.none : !nn.tensor<[tokens = ?, h = 4], act>
      nn.yield %0 : !nn.tensor<[tokens = ?, h = 4], act>
    }
    nn.yield %y : !nn.tensor<[tokens = ?, h = 4], act>
  }
  // CHECK: nn.func @forward (
  nn.func @forward (%x: !nn.tensor<[tokens = ?, h = 4], act>, %ids: !nn.tensor<[tokens = ?], i32>) {
    // CHECK: nn.run @stack(
    %r = nn.run @stack(%x) : (!nn.tensor<[tokens = ?, h = 4], act>) -> !nn.tensor<[tokens = ?, h = 4], act>
    %table = nn.get @table : !nn.tensor<[v = 9 | h = 4], weight>
    %out = nn.get @out : !nn.tensor<[f = 8 | h = 4], weight>
    %bias = nn.get @bias : !nn.tensor<[f = 8], weight>
    %norm = nn.get @norm : !nn.tensor<[h = 4], weight>
    %qkv = nn.get @qkv : !nn.tensor<[n = 2, slot = {q: g = 3, k: 1, v: 1}, d = 4 | h = 4], weight>
    %experts = nn.get @experts : !nn.tensor<[e = 5 : half = {a: 1, b: 1}, f = 8 | h = 4], weight>
    %down = nn.get @down : !nn.tensor<[e = 5 : h = 4 | f = 8], weight>
    %router = nn.get @router : !nn.tensor<[e = 5 | h = 4], weight>
    %corr = nn.get @corr : !nn.tensor<[e = 5], weight>
    %mq = nn.get @mq : !nn.tensor<[n = 2, qk = {a: nope = 4, b: rope = 2} | h = 4], weight>
    %mkv = nn.get @mkv : !nn.tensor<[kv = {c: c = 6, r: rope = 2} | h = 4], weight>
    %up = nn.get @up : !nn.tensor<[n = 2, kv = {k: nope = 4, v: vd = 3} | c = 6], weight>
    // CHECK: nn.embedding
    %e = nn.embedding %ids, %table : (!nn.tensor<[tokens = ?], i32>, !nn.tensor<[v = 9 | h = 4], weight>) -> !nn.tensor<[tokens = ?, h = 4], act>
    // CHECK: nn.linear
    %l = nn.linear %e, %out : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[f = 8 | h = 4], weight>) -> !nn.tensor<[tokens = ?, f = 8], act>
    // CHECK: nn.linear
    %lb = nn.linear %e, %out, %bias : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[f = 8 | h = 4], weight>, !nn.tensor<[f = 8], weight>) -> !nn.tensor<[tokens = ?, f = 8], act>
    // CHECK: nn.rms_norm
    %rn = nn.rms_norm %e, %norm {eps = @eps} : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[tokens = ?, h = 4], act>
    // CHECK: nn.layer_norm
    %ln = nn.layer_norm %e, %norm, %norm {eps = 1.0} : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[h = 4], weight>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[tokens = ?, h = 4], act>
    // CHECK: nn.linear
    %p = nn.linear %e, %qkv : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[n = 2, slot = {q: g = 3, k: 1, v: 1}, d = 4 | h = 4], weight>) -> !nn.tensor<[tokens = ?, n = 2, slot = {q: g = 3, k: 1, v: 1}, d = 4], act>
    // CHECK: nn.split
    %s:3 = nn.split %p {axis = "slot"} : (!nn.tensor<[tokens = ?, n = 2, slot = {q: g = 3, k: 1, v: 1}, d = 4], act>) -> (!nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>)
    // CHECK: nn.join
    %j = nn.join %s#0, %s#1, %s#2 {axis = #nn.axis<slot = {q: g = 3, k: 1, v: 1}>} : (!nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>) -> !nn.tensor<[tokens = ?, n = 2, slot = {q: g = 3, k: 1, v: 1}, d = 4], act>
    // CHECK: nn.rope
    %ro:2 = nn.rope %s#0, %s#1 {theta = 1.0, scaling = unit, interleaved = true} : (!nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>) -> (!nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>)
    // CHECK: nn.rope
    %rp:2 = nn.rope %s#0, %s#1, %ids {theta = 1.0, scaling = {type = "x"}} : (!nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>, !nn.tensor<[tokens = ?], i32>) -> (!nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>)
    // CHECK: nn.attention
    %at = nn.attention %ro#0, %ro#1, %s#2 {causal = true, scale = 0.5} : (!nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>) -> !nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>
    // CHECK: nn.attention
    %aw = nn.attention %ro#0, %ro#1, %s#2, %ids {causal = true, scale = 0.5, window = 3} : (!nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>, !nn.tensor<[tokens = ?, n = 2, d = 4], act>, !nn.tensor<[tokens = ?], i32>) -> !nn.tensor<[tokens = ?, n = 2, g = 3, d = 4], act>
    // CHECK: nn.linear
    %mq0 = nn.linear %e, %mq : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[n = 2, qk = {a: nope = 4, b: rope = 2} | h = 4], weight>) -> !nn.tensor<[tokens = ?, n = 2, qk = {a: nope = 4, b: rope = 2}], act>
    // CHECK: nn.split
    %mqs:2 = nn.split %mq0 {axis = "qk"} : (!nn.tensor<[tokens = ?, n = 2, qk = {a: nope = 4, b: rope = 2}], act>) -> (!nn.tensor<[tokens = ?, n = 2, nope = 4], act>, !nn.tensor<[tokens = ?, n = 2, rope = 2], act>)
    // CHECK: nn.linear
    %mk0 = nn.linear %e, %mkv : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[kv = {c: c = 6, r: rope = 2} | h = 4], weight>) -> !nn.tensor<[tokens = ?, kv = {c: c = 6, r: rope = 2}], act>
    // CHECK: nn.split
    %mks:2 = nn.split %mk0 {axis = "kv"} : (!nn.tensor<[tokens = ?, kv = {c: c = 6, r: rope = 2}], act>) -> (!nn.tensor<[tokens = ?, c = 6], act>, !nn.tensor<[tokens = ?, rope = 2], act>)
    // CHECK: nn.mla_attention
    %mla = nn.mla_attention %mqs#0, %mqs#1, %mks#0, %mks#1, %up {causal = true, scale = 0.5} : (!nn.tensor<[tokens = ?, n = 2, nope = 4], act>, !nn.tensor<[tokens = ?, n = 2, rope = 2], act>, !nn.tensor<[tokens = ?, c = 6], act>, !nn.tensor<[tokens = ?, rope = 2], act>, !nn.tensor<[n = 2, kv = {k: nope = 4, v: vd = 3} | c = 6], weight>) -> !nn.tensor<[tokens = ?, n = 2, vd = 3], act>
    // CHECK: nn.map
    %si = nn.map %l {kind = "silu"} : (!nn.tensor<[tokens = ?, f = 8], act>) -> !nn.tensor<[tokens = ?, f = 8], act>
    // CHECK: nn.map
    %ad = nn.map %l, %lb {kind = "add"} : (!nn.tensor<[tokens = ?, f = 8], act>, !nn.tensor<[tokens = ?, f = 8], act>) -> !nn.tensor<[tokens = ?, f = 8], act>
    // CHECK: nn.map
    %sc = nn.map %l {kind = "mul", scalar = 2.0} : (!nn.tensor<[tokens = ?, f = 8], act>) -> !nn.tensor<[tokens = ?, f = 8], act>
    // CHECK: nn.linear
    %lg = nn.linear %e, %router : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[e = 5 | h = 4], weight>) -> !nn.tensor<[tokens = ?, e = 5], act>
    // CHECK: nn.route
    %rt:2 = nn.route %lg, %corr {score = "softmax", topk = 2, renorm = true, groups = 1, group_topk = 1, scale = 1.0, method = "greedy"} : (!nn.tensor<[tokens = ?, e = 5], act>, !nn.tensor<[e = 5], weight>) -> (!nn.tensor<[tokens = ?, topk = 2], f32>, !nn.tensor<[tokens = ?, topk = 2], i32>)
    // CHECK: nn.route
    %ru:2 = nn.route %lg {score = "softmax", topk = 2, renorm = true, groups = 1, group_topk = 1, scale = 1.0} : (!nn.tensor<[tokens = ?, e = 5], act>) -> (!nn.tensor<[tokens = ?, topk = 2], f32>, !nn.tensor<[tokens = ?, topk = 2], i32>)
    // CHECK: nn.dispatch
    %ds = nn.dispatch %e, %rt#1 : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[tokens = ?, topk = 2], i32>) -> !nn.tensor<[routed = ?, h = 4], act>
    // CHECK: nn.grouped_linear
    %gl = nn.grouped_linear %ds, %experts : (!nn.tensor<[routed = ?, h = 4], act>, !nn.tensor<[e = 5 : half = {a: 1, b: 1}, f = 8 | h = 4], weight>) -> !nn.tensor<[routed = ?, half = {a: 1, b: 1}, f = 8], act>
    // CHECK: nn.split
    %gs:2 = nn.split %gl {axis = "half"} : (!nn.tensor<[routed = ?, half = {a: 1, b: 1}, f = 8], act>) -> (!nn.tensor<[routed = ?, f = 8], act>, !nn.tensor<[routed = ?, f = 8], act>)
    // CHECK: nn.grouped_linear
    %gd = nn.grouped_linear %gs#0, %down : (!nn.tensor<[routed = ?, f = 8], act>, !nn.tensor<[e = 5 : h = 4 | f = 8], weight>) -> !nn.tensor<[routed = ?, h = 4], act>
    // CHECK: nn.combine
    %co = nn.combine %gd, %rt#0, %rt#1 : (!nn.tensor<[routed = ?, h = 4], act>, !nn.tensor<[tokens = ?, topk = 2], f32>, !nn.tensor<[tokens = ?, topk = 2], i32>) -> !nn.tensor<[tokens = ?, h = 4], act>
    // CHECK: nn.merge
    %me = nn.merge %e {count = 4, axis = "square"} : (!nn.tensor<[tokens = ?, h = 4], act>) -> !nn.tensor<[merged = ?, square = 4, h = 4], act>
    // CHECK: nn.place
    %pl = nn.place %e, %e, %ids {token = 7} : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[tokens = ?], i32>) -> !nn.tensor<[tokens = ?, h = 4], act>
    // CHECK: nn.reorder
    %re = nn.reorder %e, %ids : (!nn.tensor<[tokens = ?, h = 4], act>, !nn.tensor<[tokens = ?], i32>) -> !nn.tensor<[tokens = ?, h = 4], act>
    // CHECK: nn.shift
    %sh = nn.shift %ids {by = 1} : (!nn.tensor<[tokens = ?], i32>) -> !nn.tensor<[tokens = ?], i32>
    // CHECK: nn.cross_entropy
    %ce = nn.cross_entropy %l, %ids : (!nn.tensor<[tokens = ?, f = 8], act>, !nn.tensor<[tokens = ?], i32>) -> !nn.tensor<[], f32>
    nn.yield
  }
}

// CHECK: nn.graph @G attributes {values = {h = 4 : i64}} {
nn.graph @G attributes {values = {h = 4}} {
  // CHECK: nn.weights @norm : !nn.tensor<[h = 4], weight> dtype "f32"
  nn.weights @norm : !nn.tensor<[h = 4], weight> dtype "f32"
  // CHECK: nn.weights @stack.norm : !nn.tensor<[h = 4], weight> layers [0, 2]
  nn.weights @stack.norm : !nn.tensor<[h = 4], weight> layers [0, 2]
  // CHECK: nn.entry @prefill ["x", "outputs"] -> ["y", "z"] (%{{.*}}: !nn.tensor<[tokens = 3, h = 4], act>, %{{.*}}: !nn.tensor<[n = 2], i32>) {
  nn.entry @prefill ["x", "outputs"] -> ["y", "z"] (%x: !nn.tensor<[tokens = 3, h = 4], act>, %i: !nn.tensor<[n = 2], i32>) {
    // CHECK: nn.repeat "stack"(%{{.*}}, %{{.*}}) runs [array<i64: 0, 0, 1>, array<i64: 1, 1, 1>, array<i64: 0, 2, 1>] : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[n = 2], i32>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    %r = nn.repeat "stack"(%x, %i) runs [array<i64: 0, 0, 1>, array<i64: 1, 1, 1>, array<i64: 0, 2, 1>] : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[n = 2], i32>) -> !nn.tensor<[tokens = 3, h = 4], act> {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>, %b: !nn.tensor<[n = 2], i32>):
      // CHECK: nn.weight @stack.norm : <[h = 4], weight>
      %w = nn.weight @stack.norm : <[h = 4], weight>
      // CHECK: nn.cluster(%{{.*}}, %{{.*}}) : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[h = 4], weight>) -> (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[tokens = 3, h = 4], act>) {
      %c:2 = nn.cluster(%a, %w) : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[h = 4], weight>) -> (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[tokens = 3, h = 4], act>) {
      ^bb0(%v: !nn.tensor<[tokens = 3, h = 4], act>, %n: !nn.tensor<[h = 4], weight>):
        %s = nn.map %v, %v {kind = "add"} : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[tokens = 3, h = 4], act>) -> !nn.tensor<[tokens = 3, h = 4], act>
        %m = nn.rms_norm %s, %n {eps = 1.0} : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[h = 4], weight>) -> !nn.tensor<[tokens = 3, h = 4], act>
        nn.yield %s, %m : !nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[tokens = 3, h = 4], act>
      }
      nn.yield %c#0 : !nn.tensor<[tokens = 3, h = 4], act>
    // CHECK: }, {
    }, {
    ^bb0(%a: !nn.tensor<[tokens = 3, h = 4], act>, %b: !nn.tensor<[n = 2], i32>):
      nn.yield %a : !nn.tensor<[tokens = 3, h = 4], act>
    }
    // CHECK: nn.take %{{.*}}, %{{.*}} : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[n = 2], i32>) -> !nn.tensor<[n = 2, h = 4], act>
    %t = nn.take %r, %i : (!nn.tensor<[tokens = 3, h = 4], act>, !nn.tensor<[n = 2], i32>) -> !nn.tensor<[n = 2, h = 4], act>
    nn.yield %t, %r : !nn.tensor<[n = 2, h = 4], act>, !nn.tensor<[tokens = 3, h = 4], act>
  }
}

// CHECK: nn.model @N
nn.model @N for ["A"] {
  // CHECK: nn.func @forward ["tokens"] (
  nn.func @forward ["tokens"] (%x: !nn.tensor<[t = ?], i32>) {
    nn.yield %x : !nn.tensor<[t = ?], i32>
  }
}
