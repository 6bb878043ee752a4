#pragma once
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "wan/error.h"

namespace wan::test {

/// Runs `action`, which must throw wan::Error with this code and every one of these texts in its message.
template <class Action, class... Texts>
void expect_error(ErrorCode code, Action&& action, Texts... texts) {
  try {
    action();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_STREQ(to_string(error.code()), to_string(code)) << message;
    EXPECT_TRUE(message.starts_with("[")) << message;
    for (const std::string_view text : {std::string_view(texts)...})
      EXPECT_NE(message.find(text), std::string::npos) << "\"" << text << "\" is not in: " << message;
    return;
  }
  ADD_FAILURE() << "nothing was thrown";
}

}  // namespace wan::test
