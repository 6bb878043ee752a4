#include "io/pickle.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "io/byte_reader.h"
#include "io/printable.h"

namespace wan::io {
namespace {

// Opcodes as CPython's pickletools documents them.
enum class Op : uint8_t {
  mark = '(',
  stop = '.',
  pop = '0',
  pop_mark = '1',
  none = 'N',
  new_true = 0x88,
  new_false = 0x89,
  binint = 'J',
  binint1 = 'K',
  binint2 = 'M',
  long1 = 0x8a,
  binfloat = 'G',
  binunicode = 'X',
  binstring = 'T',
  short_binstring = 'U',
  empty_tuple = ')',
  tuple = 't',
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  empty_list = ']',
  append = 'a',
  appends = 'e',
  empty_dict = '}',
  setitem = 's',
  setitems = 'u',
  global = 'c',
  reduce = 'R',
  build = 'b',
  binpersid = 'Q',
  binput = 'q',
  long_binput = 'r',
  binget = 'h',
  long_binget = 'j',
  proto = 0x80,
  inst = 'i',
  stack_global = 0x93,
};

constexpr std::string_view ordered_dict = "collections OrderedDict";

}  // namespace

class PickleMachine {
 public:
  using Id = Pickle::Id;
  using Kind = Pickle::Kind;

  PickleMachine(std::span<const std::byte> bytes, const std::string& where,
                std::span<const std::string_view> allowed_globals, const PickleLimits& limits)
      : in_(bytes, where), where_(where), allowed_(allowed_globals), limits_(limits) {
    require(static_cast<int64_t>(bytes.size()) <= limits.max_bytes, ErrorCode::bad_file,
            "[{}] has a pickle of {}, at most {} are accepted", where, human_bytes(static_cast<int64_t>(bytes.size())),
            human_bytes(limits.max_bytes));
  }

  Pickle run() {
    for (;;) {
      at_ = in_.offset();
      const auto op = static_cast<Op>(in_.number<uint8_t>());
      if (op == Op::stop) break;
      step(op);
    }
    out_.root_ = pop();
    return std::move(out_);
  }

 private:
  void step(Op op) {
    switch (op) {
      case Op::proto: return check_protocol(in_.number<uint8_t>());
      case Op::mark: return marks_.push_back(stack_.size());
      case Op::pop: return discard();
      case Op::pop_mark: return stack_.resize(pop_mark());

      case Op::none: return push({Kind::none});
      case Op::new_true: return push({Kind::boolean, 0, 0, 1});
      case Op::new_false: return push({Kind::boolean, 0, 0, 0});
      case Op::binint: return push_integer(static_cast<int32_t>(in_.number<uint32_t>()));
      case Op::binint1: return push_integer(in_.number<uint8_t>());
      case Op::binint2: return push_integer(in_.number<uint16_t>());
      case Op::long1: return push_integer(read_long());
      case Op::binfloat: in_.take(8); return push({Kind::real});
      case Op::binunicode:
      case Op::binstring: return push_text(in_.number<uint32_t>());
      case Op::short_binstring: return push_text(in_.number<uint8_t>());

      case Op::empty_tuple: return push_container(Kind::tuple, 0);
      case Op::tuple1: return push_container(Kind::tuple, 1);
      case Op::tuple2: return push_container(Kind::tuple, 2);
      case Op::tuple3: return push_container(Kind::tuple, 3);
      case Op::tuple: return push_container(Kind::tuple, stack_.size() - pop_mark());
      case Op::empty_list: return push_container(Kind::list, 0);
      case Op::append: return append(1);
      case Op::appends: return append(stack_.size() - pop_mark());
      case Op::empty_dict: return push_container(Kind::dict, 0);
      case Op::setitem: return set_items(2);
      case Op::setitems: return set_items(stack_.size() - pop_mark());

      case Op::global: return push_global();
      case Op::reduce: return reduce();
      case Op::build: return build();
      case Op::binpersid: return push({Kind::persistent, 0, pop()});

      case Op::binput: return put(in_.number<uint8_t>());
      case Op::long_binput: return put(in_.number<uint32_t>());
      case Op::binget: return get(in_.number<uint8_t>());
      case Op::long_binget: return get(in_.number<uint32_t>());

      case Op::inst: refuse_global(read_global_name());
      case Op::stack_global: refuse_stack_global();
      case Op::stop: break;
    }
    refuse(fmt::format("has the opcode {:#04x}, which torch.save does not write", static_cast<unsigned>(op)));
  }

  [[noreturn]] void refuse(const std::string& what) const {
    fail(ErrorCode::bad_file, "[{}] the pickle {} at byte {}: the file is damaged or not a state dict", where_, what,
         at_);
  }

  [[noreturn]] void refuse_global(const std::string& name) const {
    fail(ErrorCode::bad_file,
         "[{}] the pickle refers to {} at byte {}, which a file of tensors has no need of and which could run code; "
         "nothing "
         "was run: do not use this file, fetch it from a source that you trust",
         where_, printable(name), at_);
  }

  // Module and name were pushed as strings, as protocol 4 does.
  [[noreturn]] void refuse_stack_global() {
    const Id name = pop();
    const Id module = pop();
    refuse_global(fmt::format("{} {}", out_.text(module), out_.text(name)));
  }

  void check_protocol(unsigned protocol) const {
    require(protocol == 2, ErrorCode::bad_file,
            "[{}] has pickle protocol {}, 2 was expected: save it again with torch.save as it is by default", where_,
            protocol);
  }

  // ---- Stack ----

  void push(Pickle::Node node) {
    if (static_cast<int64_t>(out_.nodes_.size()) >= limits_.max_values)
      refuse(fmt::format("has more than {} values", limits_.max_values));
    stack_.push_back(static_cast<Id>(out_.nodes_.size()));
    out_.nodes_.push_back(node);
  }

  void push_integer(int64_t value) { push({Kind::integer, 0, 0, value}); }
  void push_text(size_t length) { push({Kind::string, 0, 0, 0, in_.text(length)}); }

  // Values below the newest mark belong to an outer level and are out of reach.
  void need(size_t n) const {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < n) refuse("takes more values than it made");
  }

  Id pop() {
    need(1);
    const Id id = stack_.back();
    stack_.pop_back();
    return id;
  }

  void discard() {
    if (!marks_.empty() && marks_.back() == stack_.size())
      marks_.pop_back();
    else
      pop();
  }

  size_t pop_mark() {
    if (marks_.empty()) refuse("ends a group that it did not begin");
    const size_t mark = marks_.back();
    marks_.pop_back();
    return mark;
  }

  // ---- Values ----

  int64_t read_long() {
    const size_t n = in_.number<uint8_t>();
    if (n > 8) refuse(fmt::format("has an integer of {} bytes", n));
    const auto bytes = in_.take(n);
    uint64_t value = 0;
    for (size_t i = 0; i < n; ++i) value |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
    const bool negative = n > 0 && (bytes[n - 1] & std::byte{0x80}) != std::byte{0};
    if (negative && n < 8) value |= ~uint64_t{0} << (8 * n);
    return static_cast<int64_t>(value);
  }

  // A container of the topmost n values.
  void push_container(Kind kind, size_t n) {
    need(n);
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(n);
    out_.containers_.emplace_back(first, stack_.end());
    stack_.erase(first, stack_.end());
    push({kind, 0, 0, static_cast<int64_t>(out_.containers_.size()) - 1});
  }

  // Moves the topmost n values into the container below them.
  void move_into(size_t n, Id target) {
    auto& items = out_.containers_[static_cast<size_t>(out_.nodes_[target].value)];
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(n);
    items.insert(items.end(), first, stack_.end());
    stack_.erase(first, stack_.end());
  }

  Id below(size_t n) const {
    need(n + 1);
    return stack_[stack_.size() - n - 1];
  }

  void append(size_t n) {
    const Id target = below(n);
    if (out_.kind(target) != Kind::list) refuse(fmt::format("appends to a {}", to_string(out_.kind(target))));
    move_into(n, target);
  }

  bool is_ordered_dict(Id id) const {
    return out_.kind(id) == Kind::call && out_.text(out_.callee(id)) == ordered_dict;
  }

  void set_items(size_t n) {
    const Id target = below(n);
    if (out_.kind(target) != Kind::dict && !is_ordered_dict(target))
      refuse(fmt::format("sets items of a {}", to_string(out_.kind(target))));
    if (n % 2 != 0) refuse("has a key without a value");
    move_into(n, target);
  }

  std::string read_global_name() {
    std::string name(in_.line());
    name += ' ';
    return name += in_.line();
  }

  void push_global() {
    const std::string name = read_global_name();
    const auto it = std::find(allowed_.begin(), allowed_.end(), name);
    if (it == allowed_.end()) refuse_global(name);
    push({Kind::global, 0, 0, 0, *it});
  }

  void reduce() {
    const Id arguments = pop();
    const Id callee = pop();
    if (out_.kind(callee) != Kind::global) refuse(fmt::format("calls a {}", to_string(out_.kind(callee))));
    if (out_.kind(arguments) != Kind::tuple) refuse("calls without a tuple of arguments");
    out_.containers_.emplace_back();
    push({Kind::call, callee, arguments, static_cast<int64_t>(out_.containers_.size()) - 1});
  }

  // An OrderedDict's attributes (torch keeps version numbers there) say nothing about the tensors.
  void build() {
    pop();
    const Id target = below(0);
    if (!is_ordered_dict(target)) refuse(fmt::format("sets the state of a {}", to_string(out_.kind(target))));
  }

  // ---- Memo ----

  // Picklers number consecutively; anything else could ask for memory that the file does not justify.
  void put(size_t index) {
    const Id id = below(0);
    if (index > memo_.size()) refuse(fmt::format("remembers a value as number {} after {}", index, memo_.size()));
    if (index == memo_.size())
      memo_.push_back(id);
    else
      memo_[index] = id;
  }

  void get(size_t index) {
    if (index >= memo_.size()) refuse(fmt::format("recalls number {} of {}", index, memo_.size()));
    stack_.push_back(memo_[index]);
  }

  ByteReader in_;
  const std::string& where_;
  std::span<const std::string_view> allowed_;
  const PickleLimits& limits_;
  Pickle out_;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;
  std::vector<Id> memo_;
  int64_t at_ = 0;
};

Pickle Pickle::parse(std::span<const std::byte> bytes, const std::string& where,
                     std::span<const std::string_view> allowed_globals, const PickleLimits& limits) {
  return PickleMachine(bytes, where, allowed_globals, limits).run();
}

std::string_view to_string(Pickle::Kind kind) noexcept {
  switch (kind) {
    case Pickle::Kind::none: return "None";
    case Pickle::Kind::boolean: return "bool";
    case Pickle::Kind::integer: return "int";
    case Pickle::Kind::real: return "float";
    case Pickle::Kind::string: return "string";
    case Pickle::Kind::tuple: return "tuple";
    case Pickle::Kind::list: return "list";
    case Pickle::Kind::dict: return "dict";
    case Pickle::Kind::global: return "global";
    case Pickle::Kind::call: return "call";
    case Pickle::Kind::persistent: return "persistent id";
  }
  return "?";
}

}  // namespace wan::io
