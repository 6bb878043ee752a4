#pragma once
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <string>

#include "values.h"

namespace wan::app {

/// Every flag's text as given, converted once all are known.
class Flags {
 public:
  explicit Flags(CLI::App& command) : command_(command) {}

  CLI::Option* value(const std::string& name, const std::string& type, const std::string& help,
                     const std::string& group) {
    Flag& flag = flags_[name];
    flag.option = command_.add_option("--" + name, flag.text, help)->type_name(type)->take_last()->group(group);
    return flag.option;
  }

  void on_off(const std::string& name, const std::string& help, const std::string& group) {
    flags_[name].option = command_.add_flag("--" + name, help)->group(group);
  }

  bool given(const std::string& name) const { return flags_.at(name).option->count() > 0; }

  std::optional<std::string> text(const std::string& name) const {
    if (!given(name)) return std::nullopt;
    return flags_.at(name).text;
  }

  /// For what cannot be empty; an empty path would read as "not given".
  std::string filled(const std::string& name) const {
    const std::string value = text(name).value_or("");
    if (given(name) && value.empty()) throw UsageError(fmt::format("--{} is empty", name));
    return value;
  }

  template <class Parse>
  auto parsed(const std::string& name, Parse parse) const -> std::optional<decltype(parse("", ""))> {
    const auto value = text(name);
    if (!value) return std::nullopt;
    return parse("--" + name, *value);
  }

  /// Of a command that has --threads; 0: all.
  int threads() const {
    const int n = parsed("threads", parse_int).value_or(0);
    if (n < 0) throw UsageError(fmt::format("--threads {}: expected 1 or more, or 0 for all", n));
    return n;
  }

 private:
  struct Flag {
    CLI::Option* option = nullptr;
    std::string text;
  };
  CLI::App& command_;
  std::map<std::string, Flag> flags_;
};

}  // namespace wan::app
