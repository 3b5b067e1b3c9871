#include "runtime/text/template/Scopes.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Filters.h"
#include "runtime/text/template/Tests.h"

#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>

namespace mbc::text::jinja {
namespace {

/// What has a Frame: the template, a macro, a recursive loop.
struct Function {
  Function *parent = nullptr;
  unsigned slots = 0;
};

/// A variable, wherever it is looked at from.
struct Variable {
  Function *function = nullptr;
  unsigned index = 0;
  auto operator<=>(const Variable &) const = default;
};

/// The names of one scope. Copies stand for the branches of an `if`, which
/// share the variables of the scope.
class Scope {
public:
  Scope(Function *function, const Scope *parent)
      : function(function), parent(parent),
        numbers(std::make_shared<std::map<std::string, unsigned>>()) {}

  std::optional<Variable> find(const std::string &name) const {
    for (const Scope *scope = this; scope; scope = scope->parent)
      if (auto found = scope->names.find(name); found != scope->names.end())
        return found->second;
    return std::nullopt;
  }

  void load(const std::string &name) {
    if (!find(name))
      loads[define(name).index] = {Load::From::Context, {}, name};
  }

  void store(const std::string &name) {
    stores.insert(name);
    if (names.contains(name))
      return;
    std::optional<Variable> outer = findOuter(name);
    loads[define(name).index] = {
        outer ? Load::From::Outer : Load::From::Nothing, outer, name};
  }

  Variable parameter(const std::string &name) {
    stores.insert(name);
    Variable variable = define(name);
    loads.erase(variable.index);
    return variable;
  }

  /// After an `if`: a name that some branches store has its value of before in
  /// the others.
  void join(const std::vector<Scope> &branches) {
    std::set<std::string> added;
    for (const Scope &branch : branches)
      for (const std::string &name : branch.stores)
        if (!stores.contains(name))
          added.insert(name);
    for (const Scope &branch : branches) {
      for (const auto &[name, variable] : branch.names)
        names[name] = variable;
      for (const auto &[index, source] : branch.loads)
        loads[index] = source;
      stores.insert(branch.stores.begin(), branch.stores.end());
    }
    for (const std::string &name : added) {
      std::optional<Variable> outer = findOuter(name);
      loads[names.at(name).index] = {
          outer ? Load::From::Outer : Load::From::Context, outer, name};
    }
  }

  /// As seen from `from`, this scope's function or one inside of it.
  static Slot slot(const Function *from, const Variable &variable) {
    Slot slot{0, variable.index};
    for (; from != variable.function; from = from->parent)
      ++slot.hops;
    return slot;
  }

  Slot use(const std::string &name) const {
    return slot(function, *find(name));
  }

  std::vector<Load> entry() const {
    std::vector<Load> entry;
    for (const auto &[index, source] : loads)
      entry.push_back({source.from, index,
                       source.outer ? slot(function, *source.outer) : Slot{},
                       source.name});
    return entry;
  }

  Function *function;

private:
  struct Source {
    Load::From from;
    std::optional<Variable> outer;
    std::string name;
  };

  std::optional<Variable> findOuter(const std::string &name) const {
    return parent ? parent->find(name) : std::nullopt;
  }

  Variable define(const std::string &name) {
    auto [number, added] = numbers->try_emplace(name, function->slots);
    if (added)
      ++function->slots;
    return names[name] = {function, number->second};
  }

  const Scope *parent;
  std::map<std::string, Variable> names;
  std::map<unsigned, Source> loads;
  std::set<std::string> stores;
  std::shared_ptr<std::map<std::string, unsigned>> numbers;
};

//===-- What a scope's own code names -------------------------------------===//

void collect(Scope &scope, const Expr *expr, bool parameters = false) {
  if (!expr)
    return;
  if (expr->type == Expr::Type::Attribute) {
    scope.load(expr->name);
  } else if (expr->type == Expr::Type::Name) {
    if (parameters || expr->use == Expr::Use::Parameter)
      scope.parameter(expr->name);
    else if (expr->use == Expr::Use::Store)
      scope.store(expr->name);
    else
      scope.load(expr->name);
  }
  for (const ExprPtr &item : expr->items)
    collect(scope, item.get(), parameters);
  for (const auto &[name, value] : expr->keywords)
    collect(scope, value.get());
  collect(scope, expr->spread.get());
  collect(scope, expr->spreadKeywords.get());
}

void collect(Scope &scope, const Stmt &stmt);

void collect(Scope &scope, const Block &block) {
  for (const StmtPtr &stmt : block)
    collect(scope, *stmt);
}

/// Jinja has `elif` as an `if` inside of one branch.
void collectIf(Scope &scope, const Stmt &stmt) {
  collect(scope, stmt.values[0].get());
  std::vector<Scope> branches(3, scope);
  collect(branches[0], stmt.branches[0]);
  for (size_t i = 1; i < stmt.values.size(); ++i) {
    collect(branches[1], stmt.values[i].get());
    std::vector<Scope> inner(3, branches[1]);
    collect(inner[0], stmt.branches[i]);
    branches[1].join(inner);
  }
  if (stmt.branches.size() > stmt.values.size())
    collect(branches[2], stmt.branches.back());
  scope.join(branches);
}

/// Not what is in scopes of its own.
void collect(Scope &scope, const Stmt &stmt) {
  switch (stmt.type) {
  case Stmt::Type::If:
    return collectIf(scope, stmt);
  case Stmt::Type::Set:
    collect(scope, stmt.values[0].get());
    return collect(scope, stmt.target.get());
  case Stmt::Type::SetBlock:
    return collect(scope, stmt.target.get());
  case Stmt::Type::For:
    return collect(scope, stmt.values[0].get());
  case Stmt::Type::Macro:
    return scope.store(stmt.routine->name);
  case Stmt::Type::Print:
  case Stmt::Type::CallBlock:
  case Stmt::Type::FilterBlock:
  case Stmt::Type::With:
    for (const ExprPtr &value : stmt.values)
      collect(scope, value.get());
    return;
  case Stmt::Type::Text:
  case Stmt::Type::Generation:
  case Stmt::Type::Break:
  case Stmt::Type::Continue:
    return;
  }
}

//===-- Whether a body uses a special name --------------------------------===//

/// Names of `wanted` that are read before anything has stored them, in the
/// order of the text, whatever the scopes.
class SpecialNames {
public:
  explicit SpecialNames(std::set<std::string> wanted)
      : wanted(std::move(wanted)) {}

  void visit(const Block &block) {
    for (const StmtPtr &stmt : block)
      visit(*stmt);
  }
  bool found(const std::string &name) const { return used.contains(name); }

private:
  void visit(const Expr *expr) {
    if (!expr)
      return;
    if (expr->type == Expr::Type::Name) {
      if (expr->use == Expr::Use::Load && wanted.contains(expr->name))
        used.insert(expr->name);
      else
        wanted.erase(expr->name);
    }
    for (const ExprPtr &item : expr->items)
      visit(item.get());
    for (const auto &[name, value] : expr->keywords)
      visit(value.get());
    visit(expr->spread.get());
    visit(expr->spreadKeywords.get());
  }

  void visit(const Stmt &stmt) {
    auto visitValues = [&] {
      for (const ExprPtr &value : stmt.values)
        visit(value.get());
    };
    switch (stmt.type) {
    case Stmt::Type::If:
      for (size_t i = 0; i != stmt.branches.size(); ++i) {
        if (i < stmt.values.size())
          visit(stmt.values[i].get());
        visit(stmt.branches[i]);
      }
      return;
    case Stmt::Type::For:
      visit(stmt.target.get());
      visit(stmt.values[0].get());
      visit(stmt.body);
      visit(stmt.otherwise);
      if (stmt.values.size() > 1)
        visit(stmt.values[1].get());
      return;
    case Stmt::Type::Macro:
    case Stmt::Type::CallBlock:
      visitValues();
      for (const ExprPtr &parameter : stmt.routine->parameters)
        visit(parameter.get());
      for (const ExprPtr &value : stmt.routine->defaults)
        visit(value.get());
      return visit(stmt.body);
    case Stmt::Type::FilterBlock:
      visit(stmt.body);
      return visitValues();
    case Stmt::Type::SetBlock:
      visit(stmt.target.get());
      visitValues();
      return visit(stmt.body);
    default:
      visit(stmt.target.get());
      for (const ExprPtr &target : stmt.targets)
        visit(target.get());
      visitValues();
      return visit(stmt.body);
    }
  }

  std::set<std::string> wanted, used;
};

//===-- Binding -----------------------------------------------------------===//

/// What is around a piece of code.
struct Around {
  /// In an `if`, unknown filters are errors when they are reached.
  bool soft = false;
  /// `break` has a loop to leave.
  bool loop = false;
};

class Binder {
public:
  void run(Template &tree) {
    Function function;
    Scope scope(&function, nullptr);
    collect(scope, tree.body);
    if (scope.find("self"))
      fail({}, "the variable 'self' is not supported");
    bind(tree.body, scope, {});
    tree.loads = scope.entry();
    tree.slots = function.slots;
  }

private:
  [[noreturn]] void fail(Place place, std::string message) {
    throw SyntaxProblem{place, std::move(message)};
  }

  void bind(const Block &block, const Scope &scope, Around around) {
    for (const StmtPtr &stmt : block)
      bind(*stmt, scope, around);
  }

  void bind(Expr *expr, const Scope &scope, Around around) {
    if (!expr)
      return;
    switch (expr->type) {
    case Expr::Type::Name:
    case Expr::Type::Attribute:
      expr->slot = scope.use(expr->name);
      break;
    case Expr::Type::Condition:
      around.soft = true;
      break;
    case Expr::Type::Filter:
      expr->filter = findFilter(expr->name);
      if (!expr->filter && !around.soft)
        fail(expr->place, unknownFilter(expr->name));
      break;
    case Expr::Type::Test:
      expr->test = findTest(expr->name);
      if (!expr->test && !around.soft)
        fail(expr->place, unknownTest(expr->name));
      break;
    default:
      break;
    }
    for (const ExprPtr &item : expr->items)
      bind(item.get(), scope, around);
    for (const auto &[name, value] : expr->keywords)
      bind(value.get(), scope, around);
    bind(expr->spread.get(), scope, around);
    bind(expr->spreadKeywords.get(), scope, around);
  }

  void bind(const std::vector<ExprPtr> &exprs, const Scope &scope,
            Around around) {
    for (const ExprPtr &expr : exprs)
      bind(expr.get(), scope, around);
  }

  void bind(Stmt &stmt, const Scope &scope, Around around) {
    switch (stmt.type) {
    case Stmt::Type::Text:
      return;
    case Stmt::Type::Print:
    case Stmt::Type::Set:
      bind(stmt.target.get(), scope, around);
      return bind(stmt.values, scope, around);
    case Stmt::Type::If:
      around.soft = true;
      bind(stmt.values, scope, around);
      for (const Block &branch : stmt.branches)
        bind(branch, scope, around);
      return;
    case Stmt::Type::For:
      return bindFor(stmt, scope, around);
    case Stmt::Type::Macro:
      stmt.slot = scope.use(stmt.routine->name);
      return bindRoutine(stmt, scope);
    case Stmt::Type::CallBlock:
      bindRoutine(stmt, scope);
      return bind(stmt.values, scope, around);
    case Stmt::Type::Generation:
      return bindRoutine(stmt, scope);
    case Stmt::Type::With:
      return bindWith(stmt, scope, around);
    case Stmt::Type::SetBlock:
      bind(stmt.target.get(), scope, around);
      [[fallthrough]];
    case Stmt::Type::FilterBlock:
      return bindBuffered(stmt, scope, around);
    case Stmt::Type::Break:
    case Stmt::Type::Continue:
      if (!around.loop)
        fail(
            stmt.place,
            fmt::format("'{}' is outside of a loop",
                        stmt.type == Stmt::Type::Break ? "break" : "continue"));
      return;
    }
  }

  void bindWith(Stmt &stmt, const Scope &outer, Around around) {
    Scope scope(outer.function, &outer);
    for (const ExprPtr &target : stmt.targets)
      collect(scope, target.get());
    collect(scope, stmt.body);
    bind(stmt.targets, scope, around);
    bind(stmt.values, outer, around);
    around.soft = false;
    bind(stmt.body, scope, around);
    stmt.loads = scope.entry();
  }

  /// A body whose text a filter or a variable takes.
  void bindBuffered(Stmt &stmt, const Scope &outer, Around around) {
    Scope scope(outer.function, &outer);
    collect(scope, stmt.body);
    if (stmt.type == Stmt::Type::FilterBlock)
      collect(scope, stmt.values[0].get());
    around.soft = false;
    bind(stmt.body, scope, around);
    // The filter of a set block sees only names that the block or the code
    // around it has.
    for (const ExprPtr &value : stmt.values)
      if (stmt.type == Stmt::Type::SetBlock)
        requireNames(*value, scope);
    bind(stmt.values, scope, around);
    stmt.loads = scope.entry();
  }

  void requireNames(const Expr &expr, const Scope &scope) {
    if (expr.type == Expr::Type::Name && !scope.find(expr.name))
      fail(expr.place, fmt::format("the filter of a set block uses {}, which "
                                   "nothing else here does; set a variable "
                                   "before the block and use that",
                                   quote(expr.name)));
    for (const ExprPtr &item : expr.items)
      if (item)
        requireNames(*item, scope);
    for (const auto &[name, value] : expr.keywords)
      requireNames(*value, scope);
    for (const Expr *spread : {expr.spread.get(), expr.spreadKeywords.get()})
      if (spread)
        requireNames(*spread, scope);
  }

  void bindRoutine(Stmt &stmt, const Scope &outer) {
    Routine &routine = *stmt.routine;
    Function function{outer.function};
    Scope scope(&function, &outer);
    auto collectAll = [&] {
      for (const auto *exprs : {&routine.parameters, &routine.defaults})
        for (const ExprPtr &expr : *exprs)
          collect(scope, expr.get());
      collect(scope, stmt.body);
    };
    collectAll();

    SpecialNames special({"caller", "kwargs", "varargs"});
    special.visit(stmt.body);
    auto declared = [&](std::string_view name) -> std::optional<size_t> {
      for (size_t i = 0; i != routine.parameters.size(); ++i)
        if (routine.parameters[i]->name == name)
          return i;
      return std::nullopt;
    };
    auto declare = [&](const std::string &name, Slot &slot) {
      slot = Scope::slot(&function, scope.parameter(name));
      return true;
    };
    if (special.found("caller")) {
      std::optional<size_t> own = declared("caller");
      if (!own)
        routine.takesCaller = declare("caller", routine.caller);
      else if (*own + routine.defaults.size() < routine.parameters.size())
        fail(stmt.place, "the parameter 'caller' needs a default");
    }
    if (special.found("kwargs") && !declared("kwargs"))
      routine.takesKeywords = declare("kwargs", routine.keywords);
    if (special.found("varargs") && !declared("varargs"))
      routine.takesRest = declare("varargs", routine.rest);
    collectAll();

    bind(routine.parameters, scope, {});
    bind(routine.defaults, scope, {});
    bind(stmt.body, scope, {});
    routine.loads = scope.entry();
    routine.slots = function.slots;
  }

  void checkLoopTargets(const Expr *target) {
    if (!target)
      return;
    if (target->type == Expr::Type::Name && target->use == Expr::Use::Store &&
        target->name == "loop")
      fail(target->place, "'loop' cannot be assigned to in a loop");
    for (const ExprPtr &item : target->items)
      checkLoopTargets(item.get());
  }
  void checkLoopTargets(const Stmt &stmt) {
    checkLoopTargets(stmt.target.get());
    for (const Block *block : {&stmt.body, &stmt.otherwise})
      for (const StmtPtr &inner : *block)
        checkLoopTargets(*inner);
    for (const Block &block : stmt.branches)
      for (const StmtPtr &inner : block)
        checkLoopTargets(*inner);
  }

  void bindFor(Stmt &stmt, const Scope &outer, Around around) {
    checkLoopTargets(stmt);
    bind(stmt.values[0].get(), outer, around);

    Function own{outer.function};
    Function *function = stmt.recursive ? &own : outer.function;
    Scope scope(function, &outer);
    SpecialNames special({"loop"});
    special.visit(stmt.body);
    stmt.extended = stmt.recursive || special.found("loop");
    if (stmt.extended)
      stmt.loop = Scope::slot(function, scope.parameter("loop"));
    collect(scope, stmt.target.get(), true);
    collect(scope, stmt.body);

    if (stmt.values.size() > 1) {
      Scope filter(function, &outer);
      collect(filter, stmt.target.get(), true);
      collect(filter, stmt.values[1].get());
      stmt.filterTarget = copyTarget(*stmt.target);
      bind(stmt.filterTarget.get(), filter, {});
      bind(stmt.values[1].get(), filter, {});
      stmt.filterLoads = filter.entry();
    }

    bind(stmt.target.get(), scope, around);
    bind(stmt.body, scope, {false, true});
    stmt.loads = scope.entry();

    if (!stmt.otherwise.empty()) {
      Scope otherwise(function, &outer);
      collect(otherwise, stmt.otherwise);
      bind(stmt.otherwise, otherwise, {false, around.loop && !stmt.recursive});
      stmt.otherwiseLoads = otherwise.entry();
    }
    stmt.slots = own.slots;
  }

  static ExprPtr copyTarget(const Expr &target) {
    auto copy = std::make_unique<Expr>();
    copy->type = target.type;
    copy->place = target.place;
    copy->use = target.use;
    copy->name = target.name;
    for (const ExprPtr &item : target.items)
      copy->items.push_back(copyTarget(*item));
    return copy;
  }
};

} // namespace

void bindNames(Template &tree) { Binder().run(tree); }

} // namespace mbc::text::jinja
