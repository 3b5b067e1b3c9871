//===- WMapNames.cpp ------------------------------------------------------===//
#include "compiler/Transforms/WMapNames.h"

#include "dialects/NN/Expr.h"
#include "dialects/NN/NNDialect.h"

#include "mlir/Analysis/Presburger/IntegerRelation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::presburger;

namespace mbc::wmap {

//===----------------------------------------------------------------------===//
// Affine forms and tokens
//===----------------------------------------------------------------------===//

static Affine scaled(Affine form, int64_t by) {
  form.constant *= by;
  for (auto &[name, coefficient] : form.terms)
    coefficient *= by;
  return form;
}

static void accumulate(Affine &sum, const Affine &form) {
  sum.constant += form.constant;
  for (const auto &[name, coefficient] : form.terms)
    if ((sum.terms[name] += coefficient) == 0)
      sum.terms.erase(name);
}

std::optional<Affine> toAffine(Attribute expr) {
  if (auto value = nn::asInt(expr))
    return Affine{{}, *value};
  if (auto symbol = dyn_cast<FlatSymbolRefAttr>(expr))
    return Affine{{{symbol.getValue().str(), 1}}, 0};
  auto op = dyn_cast<nn::ExprAttr>(expr);
  if (!op)
    return std::nullopt;
  std::vector<Affine> operands;
  for (Attribute operand : op.getOperands()) {
    auto form = toAffine(operand);
    if (!form)
      return std::nullopt;
    operands.push_back(std::move(*form));
  }
  if (op.getOp() == "neg")
    return scaled(operands[0], -1);
  if (op.getOp() == "+" || op.getOp() == "-") {
    Affine sum = operands[0];
    for (const Affine &operand : ArrayRef(operands).drop_front())
      accumulate(sum, op.getOp() == "+" ? operand : scaled(operand, -1));
    return sum;
  }
  if (op.getOp() == "*") {
    Affine product{{}, 1};
    for (const Affine &operand : operands) {
      if (!operand.terms.empty() && !product.terms.empty())
        return std::nullopt;
      product = operand.terms.empty() ? scaled(product, operand.constant)
                                      : scaled(operand, product.constant);
    }
    return product;
  }
  return std::nullopt;
}

FailureOr<std::vector<NameToken>> tokenizeName(ArrayRef<Attribute> segments,
                                               std::string &why) {
  std::vector<NameToken> tokens;
  bool afterHole = false;
  for (Attribute segment : segments) {
    auto literal = dyn_cast<StringAttr>(segment);
    if (!literal) {
      auto form = toAffine(segment);
      if (!form) {
        why = "'" + nn::exprText(segment) + "' is not affine in the indices";
        return failure();
      }
      if (afterHole || (!tokens.empty() && tokens.back().number)) {
        why = "hole '{" + nn::exprText(segment) +
              "}' touches another number, so that it can be read in two ways";
        return failure();
      }
      tokens.push_back({"", form});
      afterHole = true;
      continue;
    }
    StringRef rest = literal.getValue();
    while (!rest.empty()) {
      bool digits = llvm::isDigit(rest.front());
      StringRef token =
          rest.take_while([&](char c) { return llvm::isDigit(c) == digits; });
      rest = rest.drop_front(token.size());
      if (digits && afterHole) {
        why = "a hole touches the number '" + token.str() + "'";
        return failure();
      }
      afterHole = false;
      int64_t value = 0;
      // "007" is text: holes print canonical decimals, so it meets none.
      bool canonical = digits && (token == "0" || token.front() != '0') &&
                       !token.getAsInteger(10, value);
      if (canonical)
        tokens.push_back({"", Affine{{}, value}});
      else if (!tokens.empty() && !tokens.back().number)
        tokens.back().text += token;
      else
        tokens.push_back({token.str(), std::nullopt});
    }
  }
  return tokens;
}

std::vector<IndexRange> toRanges(ArrayRef<int64_t> values) {
  std::vector<IndexRange> ranges;
  for (int64_t value : values) {
    if (!ranges.empty()) {
      IndexRange &last = ranges.back();
      if (last.count == 1) {
        last.step = value - last.first;
        last.count = 2;
        continue;
      }
      if (value == last.first + last.count * last.step) {
        ++last.count;
        continue;
      }
      // Two values are a range of any step: give the second one back when the
      // next ones start a denser run.
      if (last.count == 2 && last.step != 1 &&
          value == last.first + last.step + 1) {
        int64_t second = last.first + last.step;
        last = {last.first, 1, 1};
        ranges.push_back({second, 2, 1});
        continue;
      }
    }
    ranges.push_back({value, 1, 1});
  }
  return ranges;
}

//===----------------------------------------------------------------------===//
// The integer systems
//===----------------------------------------------------------------------===//

namespace {

/// Builds one polyhedron over named variables. Configuration names are shared
/// by both families; indices are renamed apart.
class System {
public:
  /// The affine form with this family's indices renamed by `suffix`.
  Affine rename(const Affine &form, ArrayRef<IndexDomain> domains,
                StringRef suffix) {
    Affine renamed{{}, form.constant};
    for (const auto &[name, coefficient] : form.terms)
      renamed.terms[isIndex(name, domains) ? name + suffix.str() : name] +=
          coefficient;
    return renamed;
  }

  void equal(const Affine &form) { equalities.push_back(form); }
  void atLeastZero(const Affine &form) { inequalities.push_back(form); }

  /// index = first + step * k, 0 <= k < count; or 0 <= index < bound and the
  /// condition.
  void addDomain(const IndexDomain &domain, const IndexRange *range,
                 ArrayRef<IndexDomain> family, StringRef suffix,
                 StringRef conditionScope) {
    std::string index = domain.index + suffix.str();
    if (range) {
      std::string k = "k." + index;
      equal({{{index, 1}, {k, -range->step}}, -range->first});
      atLeastZero({{{k, 1}}, 0});
      atLeastZero({{{k, -1}}, range->count - 1});
      return;
    }
    atLeastZero({{{index, 1}}, 0});
    if (auto bound = toAffine(domain.bound)) {
      Affine below = rename(*bound, family, suffix);
      accumulate(below, {{{index, -1}}, -1});
      atLeastZero(below);
    }
    if (domain.condition)
      addCondition(domain.condition, true, domain.over, family, suffix,
                   conditionScope);
  }

  /// A condition on the configuration alone.
  void addGlobal(Attribute condition) {
    addCondition(condition, true, "", {}, "", "");
  }

  bool isEmpty() const {
    std::map<std::string, unsigned> columns;
    for (const auto *list : {&equalities, &inequalities})
      for (const Affine &form : *list)
        for (const auto &[name, coefficient] : form.terms)
          columns.try_emplace(name, columns.size());
    IntegerPolyhedron polyhedron(PresburgerSpace::getSetSpace(columns.size()));
    auto row = [&](const Affine &form) {
      SmallVector<int64_t> coefficients(columns.size() + 1, 0);
      for (const auto &[name, coefficient] : form.terms)
        coefficients[columns[name]] = coefficient;
      coefficients.back() = form.constant;
      return coefficients;
    };
    for (const Affine &form : equalities)
      polyhedron.addEquality(row(form));
    for (const Affine &form : inequalities)
      polyhedron.addInequality(row(form));
    return polyhedron.isIntegerEmpty();
  }

private:
  static bool isIndex(StringRef name, ArrayRef<IndexDomain> domains) {
    return llvm::any_of(domains, [&](const IndexDomain &domain) {
      return domain.index == name;
    });
  }

  /// An affine comparison becomes an inequality; anything else a 0/1
  /// coordinate, which equal indices of one stack share.
  void addCondition(Attribute condition, bool holds, StringRef over,
                    ArrayRef<IndexDomain> family, StringRef suffix,
                    StringRef scope) {
    auto op = dyn_cast<nn::ExprAttr>(condition);
    if (op && op.getOp() == "!")
      return addCondition(op.getOperands()[0], !holds, over, family, suffix,
                          scope);
    if (op && op.getOp() == (holds ? "&&" : "||")) {
      for (Attribute operand : op.getOperands())
        addCondition(operand, holds, over, family, suffix, scope);
      return;
    }
    if (op && op.getOperands().size() == 2) {
      auto a = toAffine(op.getOperands()[0]), b = toAffine(op.getOperands()[1]);
      StringRef name = op.getOp();
      if (a && b &&
          (name == "<" || name == "<=" || name == ">" || name == ">=")) {
        if (name == ">" || name == ">=")
          std::swap(a, b); // now a < b or a <= b
        bool strict = name == "<" || name == ">";
        if (!holds) {
          std::swap(a, b); // not (a < b) is b <= a
          strict = !strict;
        }
        Affine difference = rename(*b, family, suffix);
        accumulate(difference, scaled(rename(*a, family, suffix), -1));
        difference.constant -= strict;
        return atLeastZero(difference);
      }
    }
    std::string text;
    llvm::raw_string_ostream(text) << condition << " in " << over << scope;
    equal({{{text, 1}}, holds ? -1 : 0});
  }

  std::vector<Affine> equalities, inequalities;
};

/// Calls `fn` with one range (or null) for each domain, over all choices.
void forEachChoice(ArrayRef<IndexDomain> domains,
                   SmallVectorImpl<const IndexRange *> &choice,
                   llvm::function_ref<void()> fn) {
  if (choice.size() == domains.size())
    return fn();
  const IndexDomain &domain = domains[choice.size()];
  if (domain.bound) {
    choice.push_back(nullptr);
    forEachChoice(domains, choice, fn);
    choice.pop_back();
    return;
  }
  for (const IndexRange &range : domain.ranges) {
    choice.push_back(&range);
    forEachChoice(domains, choice, fn);
    choice.pop_back();
  }
}

/// Same texts in the same places: only then can numbers make names equal.
bool textsAgree(const NameFamily &a, const NameFamily &b) {
  if (a.tokens.size() != b.tokens.size())
    return false;
  for (auto [x, y] : llvm::zip(a.tokens, b.tokens))
    if (x.number.has_value() != y.number.has_value() || x.text != y.text)
      return false;
  return true;
}

/// True if equal names force the first indices over one stack to be equal.
bool sharesIndex(const NameFamily &a, const NameFamily &b) {
  for (auto [x, y] : llvm::zip(a.tokens, b.tokens)) {
    if (!x.number)
      continue;
    for (const IndexDomain &p : a.domains)
      for (const IndexDomain &q : b.domains)
        if (p.over == q.over && p.condition && q.condition &&
            x.number->terms.count(p.index) && y.number->terms.count(q.index)) {
          Affine renamed = *y.number;
          int64_t coefficient = renamed.terms[q.index];
          renamed.terms.erase(q.index);
          renamed.terms[p.index] += coefficient;
          if (renamed.terms == x.number->terms &&
              renamed.constant == x.number->constant &&
              renamed.terms.size() == 1)
            return true;
        }
  }
  return false;
}

/// Is there a member of `a` and one of `b` of equal name, subject to `extra`?
bool canMeet(const NameFamily &a, const NameFamily &b,
             llvm::function_ref<void(System &)> extra) {
  if (!textsAgree(a, b))
    return false;
  bool shared = sharesIndex(a, b);
  bool meets = false;
  SmallVector<const IndexRange *> left, right;
  forEachChoice(a.domains, left, [&] {
    forEachChoice(b.domains, right, [&] {
      if (meets)
        return;
      System system;
      for (auto [domain, range] : llvm::zip(a.domains, left))
        system.addDomain(domain, range, a.domains, ".a", shared ? "" : ".a");
      for (auto [domain, range] : llvm::zip(b.domains, right))
        system.addDomain(domain, range, b.domains, ".b", shared ? "" : ".b");
      for (const NameFamily *family : {&a, &b})
        for (Attribute condition : family->conditions)
          system.addGlobal(condition);
      for (auto [x, y] : llvm::zip(a.tokens, b.tokens)) {
        if (!x.number)
          continue;
        Affine difference = system.rename(*x.number, a.domains, ".a");
        accumulate(difference,
                   scaled(system.rename(*y.number, b.domains, ".b"), -1));
        system.equal(difference);
      }
      extra(system);
      meets |= !system.isEmpty();
    });
  });
  return meets;
}

} // namespace

bool mayMeet(const NameFamily &a, const NameFamily &b) {
  return canMeet(a, b, [](System &) {});
}

bool mayRepeat(const NameFamily &family) {
  // Some index differs: try each as the one that does, in both orders being
  // the same by symmetry.
  for (const IndexDomain &domain : family.domains)
    if (canMeet(family, family, [&](System &system) {
          system.atLeastZero(
              {{{domain.index + ".b", 1}, {domain.index + ".a", -1}}, -1});
        }))
      return true;
  return false;
}

bool mayBeNegative(const NameFamily &family) {
  bool negative = false;
  SmallVector<const IndexRange *> choice;
  forEachChoice(family.domains, choice, [&] {
    for (const NameToken &token : family.tokens) {
      if (!token.number || negative)
        continue;
      System system;
      for (auto [domain, range] : llvm::zip(family.domains, choice))
        system.addDomain(domain, range, family.domains, ".a", "");
      Affine below =
          scaled(system.rename(*token.number, family.domains, ".a"), -1);
      below.constant -= 1;
      system.atLeastZero(below);
      // Configuration names in names are sizes: not negative.
      for (const auto &[name, coefficient] : token.number->terms)
        if (llvm::none_of(family.domains, [&](const IndexDomain &domain) {
              return domain.index == name;
            }))
          system.atLeastZero({{{name, 1}}, 0});
      negative |= !system.isEmpty();
    }
  });
  return negative;
}

} // namespace mbc::wmap
