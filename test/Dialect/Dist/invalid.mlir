// RUN: mbc-opt %s --verify-diagnostics --split-input-file -o /dev/null

// Each case is of the constraint of dialects/Dist/README.md that it names.

// D01
// expected-error@+1 {{axis 'tp' is in a placement twice}}
#p = #dist.placement<tp = I, tp = R>

// -----

// D02
// expected-error@+1 {{placement over 'tp' is 'X', expected R, I, V or P}}
#p = #dist.placement<tp = X>

// -----

// D03
// expected-error@+1 {{names axis 'tp' twice}}
dist.mesh @mesh axes ["tp", "tp"] of [1, 1] experts ["ep"] of [1]

// -----

// D03
// expected-error@+1 {{axis 'ep' has size 0, expected a positive one}}
dist.mesh @mesh axes ["tp"] of [1] experts ["ep"] of [0]

// -----

// D03
// expected-error@+1 {{has 2 axes and 1 sizes}}
dist.mesh @mesh axes ["tp", "dp"] of [1] experts ["ep"] of [1]

// -----

// D04
// expected-error@+1 {{has 4 ranks, and 2 for experts}}
dist.mesh @mesh axes ["tp", "dp"] of [2, 2] experts ["ep"] of [2]

// -----

// D04
// expected-error@+1 {{axis 'pp' has size 2, and 1 for experts}}
dist.mesh @mesh axes ["tp", "pp"] of [1, 2] experts ["ep", "pp"] of [2, 1]
