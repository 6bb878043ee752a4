#pragma once
#include <stdexcept>
#include <string>

namespace wan {

/// What kind of failure an Error reports; a program maps it to an exit code, a server to a status.
enum class ErrorCode {
  invalid_argument,  ///< the request or an option is wrong
  bad_file,          ///< a file is missing, truncated, malformed or does not match the model
  out_of_memory,     ///< host or device memory does not suffice
  device,            ///< a device or its driver failed
  comm,              ///< a peer process or the network failed
  cancelled,         ///< the caller asked to stop
  unsupported,       ///< understood, but not available in this build or on this machine
};

/// The name of a code as it appears in logs and JSON, such as "bad_file".
const char* to_string(ErrorCode code) noexcept;

/// The only exception that the library throws on purpose.
/// Its message reads: [where] what came, what was expected, what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace wan
