#include "runtime/text/template/Interpreter.h"

#include "runtime/core/Text.h"
#include "runtime/text/template/Access.h"
#include "runtime/text/template/Filters.h"
#include "runtime/text/template/Functions.h"
#include "runtime/text/template/Loop.h"
#include "runtime/text/template/Methods.h"
#include "runtime/text/template/Operators.h"
#include "runtime/text/template/Printing.h"
#include "runtime/text/template/Tests.h"

#include <algorithm>
#include <fmt/format.h>

namespace mbc::text::jinja {
namespace {

struct Macro : Object {
  const Stmt *stmt;
  /// Where it was defined.
  std::shared_ptr<Frame> around;
};

class Interpreter {
public:
  explicit Interpreter(const Template &tree) : tree(tree) {}

  std::string render(const Json &variables) {
    try {
      context = Value::fromJson(variables);
      frame = newFrame(tree.slots, nullptr);
      enter(tree.loads);
      std::string out;
      execute(tree.body, out);
      return out;
    } catch (Problem &problem) {
      throw RunError{at, std::move(problem.message)};
    } catch (Refusal &refusal) {
      throw RunError{at, std::move(refusal.message), true};
    }
  }

private:
  enum class Flow { Next, Break, Continue };

  //===-- Variables -------------------------------------------------------===//

  std::shared_ptr<Frame> newFrame(unsigned slots,
                                  std::shared_ptr<Frame> parent) {
    run.step(slots);
    auto made = std::make_shared<Frame>();
    made->slots.resize(slots);
    made->parent = std::move(parent);
    return made;
  }

  /// Runs `body` in another frame.
  template <typename Fn> auto within(std::shared_ptr<Frame> other, Fn body) {
    struct Restore {
      Interpreter &self;
      std::shared_ptr<Frame> before;
      ~Restore() { self.frame = std::move(before); }
    } restore{*this, std::exchange(frame, std::move(other))};
    return body();
  }

  Value &variable(const Slot &slot) {
    Frame *holder = frame.get();
    for (unsigned i = 0; i != slot.hops; ++i)
      holder = holder->parent.get();
    return holder->slots[slot.index];
  }

  void enter(const std::vector<Load> &loads) {
    for (const Load &load : loads) {
      switch (load.from) {
      case Load::From::Context:
        frame->slots[load.to] = lookUp(load.name);
        break;
      case Load::From::Outer:
        frame->slots[load.to] = variable(load.outer);
        break;
      case Load::From::Nothing:
        frame->slots[load.to] = {};
        break;
      }
    }
  }

  Value lookUp(const std::string &name) {
    const Value *value = context.mapping().find(name);
    return value ? *value : globalFunction(name);
  }

  void assign(const Expr &target, const Value &value) {
    switch (target.type) {
    case Expr::Type::Name:
      variable(target.slot) = value;
      return;
    case Expr::Type::Attribute: {
      at = target.place;
      if (target.attribute.starts_with('_'))
        throw Problem{fmt::format("a namespace cannot have the attribute {}: "
                                  "it begins with an underscore",
                                  quote(target.attribute))};
      run.allocate(sizeof(Mapping::Entry));
      Namespace &space = variable(target.slot).as<Namespace>();
      run.step(space.attributes.entries.size() / 8);
      space.attributes.set(Value::str(target.attribute), value);
      return;
    }
    default:
      break;
    }
    std::vector<Value> items = itemsOf(run, value);
    if (items.size() != target.items.size()) {
      at = target.place;
      throw Problem{fmt::format("{} values cannot be given to {} names",
                                items.size(), target.items.size())};
    }
    for (size_t i = 0; i != items.size(); ++i)
      assign(*target.items[i], items[i]);
  }

  /// Before the value is computed, as Jinja.
  void requireNamespaces(const Expr &target) {
    if (target.type == Expr::Type::Attribute &&
        !variable(target.slot).is(Kind::Namespace)) {
      at = target.place;
      throw Problem{fmt::format("{} is no namespace, so that its attribute {} "
                                "cannot be set; make it with namespace()",
                                quote(target.name), quote(target.attribute))};
    }
    for (const ExprPtr &item : target.items)
      requireNamespaces(*item);
  }

  //===-- Statements ------------------------------------------------------===//

  void put(std::string &out, std::string_view text) {
    run.allocate(text.size());
    out += text;
  }

  Flow execute(const Block &block, std::string &out) {
    Run::Deeper deeper(run);
    for (const StmtPtr &stmt : block)
      if (Flow flow = execute(*stmt, out); flow != Flow::Next)
        return flow;
    return Flow::Next;
  }

  Flow execute(const Stmt &stmt, std::string &out) {
    run.step();
    switch (stmt.type) {
    case Stmt::Type::Text:
      put(out, stmt.text);
      return Flow::Next;
    case Stmt::Type::Print:
      for (const ExprPtr &value : stmt.values) {
        Value result = evaluate(*value);
        at = value->place;
        print(run, out, result);
      }
      return Flow::Next;
    case Stmt::Type::Set:
      requireNamespaces(*stmt.target);
      assign(*stmt.target, evaluate(*stmt.values[0]));
      return Flow::Next;
    case Stmt::Type::If:
      return executeIf(stmt, out);
    case Stmt::Type::For:
      return executeFor(stmt, out);
    case Stmt::Type::Macro:
      variable(stmt.slot) = makeMacro(stmt);
      return Flow::Next;
    case Stmt::Type::CallBlock:
      return executeCallBlock(stmt, out);
    case Stmt::Type::Generation:
      put(out, callMacro(makeMacro(stmt).as<Macro>(), {}).text());
      return Flow::Next;
    case Stmt::Type::SetBlock:
    case Stmt::Type::FilterBlock:
      return executeBuffered(stmt, out);
    case Stmt::Type::With:
      return executeWith(stmt, out);
    case Stmt::Type::Break:
      return Flow::Break;
    case Stmt::Type::Continue:
      return Flow::Continue;
    }
    return Flow::Next;
  }

  Flow executeIf(const Stmt &stmt, std::string &out) {
    for (size_t i = 0; i != stmt.branches.size(); ++i)
      if (i == stmt.values.size() || truthy(evaluate(*stmt.values[i])))
        return execute(stmt.branches[i], out);
    return Flow::Next;
  }

  Flow executeWith(const Stmt &stmt, std::string &out) {
    enter(stmt.loads);
    for (size_t i = 0; i != stmt.targets.size(); ++i)
      assign(*stmt.targets[i], evaluate(*stmt.values[i]));
    return execute(stmt.body, out);
  }

  /// A `break` within drops the text.
  Flow executeBuffered(const Stmt &stmt, std::string &out) {
    enter(stmt.loads);
    std::string text;
    if (Flow flow = execute(stmt.body, text); flow != Flow::Next)
      return flow;
    Value value = Value::str(std::move(text));
    if (!stmt.values.empty())
      value = applyFilters(*stmt.values[0], value);
    at = stmt.place;
    if (stmt.type == Stmt::Type::FilterBlock)
      print(run, out, value);
    else
      requireNamespaces(*stmt.target), assign(*stmt.target, value);
    return Flow::Next;
  }

  /// Of a block's text: the innermost filter has no value of its own.
  Value applyFilters(const Expr &filter, const Value &text) {
    return applyFilter(
        filter, filter.items[0] ? applyFilters(*filter.items[0], text) : text);
  }

  Flow executeCallBlock(const Stmt &stmt, std::string &out) {
    const Expr &call = *stmt.values[0];
    Value callee = evaluate(*call.items[0]);
    Value caller = makeMacro(stmt);
    Arguments arguments = evaluateArguments(call, 1);
    for (const auto &[name, value] : arguments.keywords)
      if (name == "caller")
        throw Problem{"there are two arguments 'caller'"};
    arguments.keywords.emplace_back("caller", caller);
    at = call.place;
    print(run, out, this->call(callee, std::move(arguments)));
    return Flow::Next;
  }

  //===-- Loops -----------------------------------------------------------===//

  /// The items for which a loop's filter holds. The filter reads the variables
  /// of `frame` when an item is asked for.
  struct Filtered : Iterator {
    Filtered(Interpreter &self, const Stmt &stmt,
             std::shared_ptr<Iterator> source)
        : self(self), stmt(stmt), source(std::move(source)) {
      depth = this->source->depth + 1;
    }
    bool next(Run &run, Value &item) override {
      if (!std::exchange(started, true))
        self.enter(stmt.filterLoads);
      while (source->next(run, item)) {
        self.assign(*stmt.filterTarget, item);
        if (truthy(self.evaluate(*stmt.values[1])))
          return true;
      }
      return false;
    }

    Interpreter &self;
    const Stmt &stmt;
    std::shared_ptr<Iterator> source;
    bool started = false;
  };

  Flow executeFor(const Stmt &stmt, std::string &out) {
    Value over = evaluate(*stmt.values[0]);
    at = stmt.values[0]->place;
    if (!stmt.recursive)
      return loopOver(stmt, over, 0, nullptr, out);
    put(out, recurse(stmt, over, 0, frame));
    return Flow::Next;
  }

  std::string recurse(const Stmt &stmt, const Value &over, int64_t depth,
                      const std::shared_ptr<Frame> &around) {
    Run::Deeper deeper(run);
    return within(newFrame(stmt.slots, around), [&] {
      std::string out;
      loopOver(stmt, over, depth, around, out);
      return out;
    });
  }

  Flow loopOver(const Stmt &stmt, const Value &over, int64_t depth,
                const std::shared_ptr<Frame> &around, std::string &out) {
    auto source = iterate(run, over);
    bool filtered = stmt.values.size() > 1;
    if (filtered)
      source = std::make_shared<Filtered>(*this, stmt, std::move(source));
    std::shared_ptr<Loop> loop;
    if (stmt.extended) {
      loop = std::make_shared<Loop>();
      loop->source = source;
      if (!filtered)
        loop->size = lengthOf(run, over);
      loop->depth0 = depth;
      loop->recursive = stmt.recursive ? &stmt : nullptr;
      loop->around = around;
      run.allocate(sizeof(Loop));
    }
    bool any = false;
    for (Value item; loop ? loop->next(run, item) : source->next(run, item);) {
      if (loop)
        variable(stmt.loop) = Value::of(Kind::Loop, loop);
      assign(*stmt.target, item);
      enter(stmt.loads);
      Flow flow = execute(stmt.body, out);
      if (flow == Flow::Break)
        break;
      // Jinja notes a turn at its end, which `continue` leaves out.
      any |= flow == Flow::Next;
    }
    if (any || stmt.otherwise.empty())
      return Flow::Next;
    enter(stmt.otherwiseLoads);
    return execute(stmt.otherwise, out);
  }

  //===-- Calls -----------------------------------------------------------===//

  Value makeMacro(const Stmt &stmt) {
    run.keep(frame);
    run.allocate(sizeof(Macro));
    auto macro = std::make_shared<Macro>();
    macro->stmt = &stmt;
    macro->around = frame;
    return Value::of(Kind::Macro, std::move(macro));
  }

  Value callMacro(const Macro &macro, Arguments arguments) {
    Run::Deeper deeper(run);
    const Routine &routine = *macro.stmt->routine;
    std::string name =
        routine.name.empty() ? "a call block" : quote(routine.name);
    size_t parameters = routine.parameters.size();
    auto made = newFrame(routine.slots, macro.around);
    bool callerGiven = false;
    for (size_t i = 0; i != parameters; ++i) {
      const Expr &parameter = *routine.parameters[i];
      Value &slot = made->slots[parameter.slot.index];
      callerGiven |= parameter.name == "caller";
      if (i < arguments.positional.size())
        slot = arguments.positional[i];
      else
        slot = arguments.takeKeyword(parameter.name);
    }
    if (routine.takesCaller && !callerGiven) {
      Value caller = arguments.takeKeyword("caller");
      bool none = caller.is(Kind::Missing) || caller.is(Kind::None);
      made->slots[routine.caller.index] =
          none ? Value::undefined("there is no caller") : caller;
    }
    if (routine.takesKeywords) {
      auto dict = std::make_shared<Mapping>();
      for (const auto &[key, value] : arguments.keywords)
        dict->set(Value::str(key), value);
      made->slots[routine.keywords.index] =
          Value::of(Kind::Dict, std::move(dict));
    } else if (!arguments.keywords.empty()) {
      throw Problem{fmt::format("the macro {} has no argument {}", name,
                                quote(arguments.keywords[0].first))};
    }
    if (routine.takesRest) {
      auto &all = arguments.positional;
      made->slots[routine.rest.index] = run.tuple(std::vector<Value>(
          all.begin() + std::min(parameters, all.size()), all.end()));
    } else if (arguments.positional.size() > parameters) {
      throw Problem{fmt::format("the macro {} takes at most {} arguments, got "
                                "{}",
                                name, parameters, arguments.positional.size())};
    }
    return within(std::move(made), [&] {
      enter(routine.loads);
      size_t required = parameters - routine.defaults.size();
      for (size_t i = 0; i != parameters; ++i) {
        const Expr &parameter = *routine.parameters[i];
        if (!frame->slots[parameter.slot.index].is(Kind::Missing))
          continue;
        Value value =
            i < required
                ? Value::undefined(fmt::format("the parameter {} was not given",
                                               quote(parameter.name)))
                : evaluate(*routine.defaults[i - required]);
        frame->slots[parameter.slot.index] = std::move(value);
      }
      std::string out;
      execute(macro.stmt->body, out);
      return Value::str(std::move(out));
    });
  }

  Value call(const Value &callee, Arguments arguments) {
    switch (callee.kind()) {
    case Kind::Macro:
      return callMacro(callee.as<Macro>(), std::move(arguments));
    case Kind::Function:
      return callee.as<Function>().call(run, arguments);
    case Kind::Method: {
      const auto &method = callee.as<Method>();
      return callMethod(run, method.self, method.name, arguments);
    }
    case Kind::Loop: {
      const auto &loop = callee.as<Loop>();
      auto values = bindArguments(arguments, "loop()", {"iterable"}, 1);
      if (!loop.recursive)
        throw Problem{"loop() needs a loop that is marked as 'recursive'"};
      return Value::str(
          recurse(*loop.recursive, values[0], loop.depth0 + 1, loop.around));
    }
    case Kind::Joiner: {
      bindPositional(arguments, "a joiner", 0, 0);
      auto &joiner = callee.as<Joiner>();
      return std::exchange(joiner.used, true) ? run.str(joiner.separator)
                                              : Value::str("");
    }
    case Kind::Undefined:
      throw Problem{callee.text()};
    default:
      throw Problem{fmt::format("a {} cannot be called", typeName(callee))};
    }
  }

  Arguments evaluateArguments(const Expr &expr, size_t first) {
    Arguments arguments;
    for (size_t i = first; i < expr.items.size(); ++i)
      arguments.positional.push_back(evaluate(*expr.items[i]));
    for (const auto &[name, value] : expr.keywords)
      arguments.keywords.emplace_back(name, evaluate(*value));
    if (expr.spread) {
      Value all = evaluate(*expr.spread);
      at = expr.place;
      for (Value &item : itemsOf(run, all))
        arguments.positional.push_back(std::move(item));
    }
    if (expr.spreadKeywords) {
      Value all = evaluate(*expr.spreadKeywords);
      at = expr.place;
      if (!all.is(Kind::Dict))
        throw Problem{
            fmt::format("'**' needs a dict, not a {}", typeName(all))};
      for (const auto &[key, value] : all.mapping().entries) {
        const std::string &name = requireText(key, "the name of an argument");
        for (const auto &[other, given] : arguments.keywords)
          if (other == name)
            throw Problem{
                fmt::format("there are two arguments {}", quote(name))};
        arguments.keywords.emplace_back(name, value);
      }
    }
    return arguments;
  }

  //===-- Expressions -----------------------------------------------------===//

  Value evaluate(const Expr &expr) {
    Run::Deeper deeper(run);
    run.step();
    switch (expr.type) {
    case Expr::Type::Constant:
      return expr.value;
    case Expr::Type::Name: {
      const Value &value = variable(expr.slot);
      return value.is(Kind::Missing) ? undefinedName(expr) : value;
    }
    case Expr::Type::Member: {
      Value object = evaluate(*expr.items[0]);
      at = expr.place;
      return member(run, object, expr.name);
    }
    case Expr::Type::Item: {
      Value object = evaluate(*expr.items[0]);
      Value key = evaluate(*expr.items[1]);
      at = expr.place;
      return item(run, object, key);
    }
    case Expr::Type::Slice:
      return evaluateSlice(expr);
    case Expr::Type::Call: {
      Value callee = evaluate(*expr.items[0]);
      Arguments arguments = evaluateArguments(expr, 1);
      at = expr.place;
      return call(callee, std::move(arguments));
    }
    case Expr::Type::Filter:
      return applyFilter(expr, evaluate(*expr.items[0]));
    case Expr::Type::Test:
      return evaluateTest(expr);
    case Expr::Type::Condition:
      return evaluateCondition(expr);
    case Expr::Type::Or: {
      Value left = evaluate(*expr.items[0]);
      return truthy(left) ? left : evaluate(*expr.items[1]);
    }
    case Expr::Type::And: {
      Value left = evaluate(*expr.items[0]);
      return truthy(left) ? evaluate(*expr.items[1]) : left;
    }
    case Expr::Type::Not:
      return Value::boolean(!truthy(evaluate(*expr.items[0])));
    case Expr::Type::Negate:
    case Expr::Type::Plus: {
      Value value = evaluate(*expr.items[0]);
      at = expr.place;
      return expr.type == Expr::Type::Negate ? negated(value) : positive(value);
    }
    case Expr::Type::Binary: {
      Value left = evaluate(*expr.items[0]);
      Value right = evaluate(*expr.items[1]);
      at = expr.place;
      return binary(run, expr.name, left, right);
    }
    case Expr::Type::Concat:
      return evaluateConcat(expr);
    case Expr::Type::Compare:
      return evaluateCompare(expr);
    case Expr::Type::List:
    case Expr::Type::Tuple:
    case Expr::Type::Dict:
      return evaluateDisplay(expr);
    case Expr::Type::Attribute:
      break; // a target only
    }
    return {};
  }

  Value undefinedName(const Expr &expr) {
    return Value::undefined(
        fmt::format("the variable {} is undefined", quote(expr.name)));
  }

  Value evaluateSlice(const Expr &expr) {
    Value object = evaluate(*expr.items[0]), bounds[3];
    for (size_t i = 0; i != 3; ++i)
      if (expr.items[i + 1])
        bounds[i] = evaluate(*expr.items[i + 1]);
    at = expr.place;
    return slice(run, object, bounds[0], bounds[1], bounds[2]);
  }

  Value applyFilter(const Expr &expr, const Value &value) {
    Arguments arguments = evaluateArguments(expr, 1);
    at = expr.place;
    if (!expr.filter)
      throw Problem{unknownFilter(expr.name)};
    return expr.filter->apply(run, value, arguments);
  }

  Value evaluateTest(const Expr &expr) {
    Value value = evaluate(*expr.items[0]);
    Arguments arguments = evaluateArguments(expr, 1);
    at = expr.place;
    if (!expr.test)
      throw Problem{unknownTest(expr.name)};
    return Value::boolean(applyTest(run, *expr.test, value, arguments));
  }

  Value evaluateCondition(const Expr &expr) {
    if (truthy(evaluate(*expr.items[0])))
      return evaluate(*expr.items[1]);
    if (expr.items[2])
      return evaluate(*expr.items[2]);
    return Value::undefined("an 'if' without 'else' did not hold");
  }

  Value evaluateConcat(const Expr &expr) {
    std::vector<Value> parts;
    for (const ExprPtr &part : expr.items)
      parts.push_back(evaluate(*part));
    at = expr.place;
    std::string out;
    for (const Value &part : parts)
      print(run, out, part);
    return Value::str(std::move(out));
  }

  Value evaluateCompare(const Expr &expr) {
    Value left = evaluate(*expr.items[0]);
    for (size_t i = 0; i != expr.operators.size(); ++i) {
      Value right = evaluate(*expr.items[i + 1]);
      at = expr.place;
      if (!compare(run, expr.operators[i], left, right))
        return Value::boolean(false);
      left = std::move(right);
    }
    return Value::boolean(true);
  }

  Value evaluateDisplay(const Expr &expr) {
    std::vector<Value> items;
    for (const ExprPtr &item : expr.items)
      items.push_back(evaluate(*item));
    at = expr.place;
    if (expr.type == Expr::Type::List)
      return run.list(std::move(items));
    if (expr.type == Expr::Type::Tuple)
      return run.tuple(std::move(items));
    run.allocate(items.size() * sizeof(Value));
    run.step(items.size() * (items.size() / 16));
    auto dict = std::make_shared<Mapping>();
    for (size_t i = 0; i != items.size(); i += 2) {
      requireHashable(items[i]);
      dict->set(std::move(items[i]), std::move(items[i + 1]));
    }
    return Value::of(Kind::Dict, std::move(dict));
  }

  // First, so that it goes last: it frees what the others refer to.
  Run run;
  const Template &tree;
  Value context;
  std::shared_ptr<Frame> frame;
  /// Of what is evaluated.
  Place at;
};

} // namespace

std::string runTemplate(const Template &tree, const Json &variables) {
  return Interpreter(tree).render(variables);
}

} // namespace mbc::text::jinja
