#pragma once
#include <array>
#include <string>
#include <vector>

#include "comm/wire.h"
#include "wan/error.h"

/// What ranks tell each other on the control connection.
namespace wan::comm {

inline constexpr uint64_t protocol_version = 1;
inline constexpr size_t max_greeting = 1 << 16;  ///< bytes of a body before the handshake is done
inline constexpr size_t max_message = 16 << 20;  ///< and after it
inline constexpr size_t max_contribution = 1 << 12;

/// The frame's format, `verdict` and the first number of a hello stay as they are in all versions, so that ranks of
/// different versions can tell each other that they are.
enum class MessageType : uint8_t { hello = 1, welcome, beat, verdict, leave, contribution, gathered };

/// Something that must be equal on all ranks: what it is ("model") and what it is here.
struct Trait {
  std::string name, value;
  bool operator==(const Trait&) const = default;
};

/// Who a rank is, for messages that people read.
struct Member {
  int rank = 0;
  int64_t process = 0;
  std::string host;     ///< the machine's name
  std::string gpu;      ///< "GPU 0, NVIDIA H100"; empty: the CPU
  std::string gpu_id;   ///< the GPU's UUID; two ranks must not have the same; empty: none
  std::string address;  ///< as rank 0 sees it; empty: the same machine as rank 0
};

struct Hello {
  uint64_t protocol = protocol_version;
  int size = 1;
  Member member;
  std::vector<Trait> same;
};

using Nonce = std::array<std::byte, 16>;

struct Welcome {
  Nonce nonce{};  ///< known to this job's ranks alone
  std::vector<Member> members;
};

/// Where a rank is, as it tells with each heartbeat.
struct Status {
  uint64_t ticks = 0;    ///< grows as the rank's work goes on
  uint64_t calls = 0;    ///< collective calls begun
  bool waiting = false;  ///< in one of them
  std::string call;      ///< the last one's name
  std::string state;     ///< "step 12 of 40, high expert"
  bool operator==(const Status&) const = default;
};

/// Why the job ends.
struct Verdict {
  ErrorCode code = ErrorCode::comm;
  std::string message;
};

Bytes encode(const Hello& hello);
Bytes encode(const Welcome& welcome);
Bytes encode(const Status& status);
Bytes encode(const Verdict& verdict);
Bytes encode_gathered(uint64_t number, const std::vector<Bytes>& parts);

/// All throw Error(comm) for bytes that are no such message. A hello of another protocol version has only that.
Hello decode_hello(std::span<const std::byte> body);
Welcome decode_welcome(std::span<const std::byte> body, int size);
Status decode_status(std::span<const std::byte> body);
Verdict decode_verdict(std::span<const std::byte> body);
std::vector<Bytes> decode_gathered(std::span<const std::byte> body, int size, uint64_t& number);

/// The trait with a value fit for a message: a long one is cut and gets a hash of all of it.
Trait shortened(Trait trait);

}  // namespace wan::comm
