#include "conformance/communicator.h"

namespace wan::comm {
namespace {

TEST(Single, Conforms) {
  const auto comm = make_single();
  check_communicator(*comm);
}

TEST(Single, SaysWhatIsWrong) {
  const auto comm = make_single();
  std::vector<std::byte> bytes(4);
  EXPECT_THROW(comm->receive(bytes, 0, nullptr), Error);
  EXPECT_THROW(comm->send(bytes, 1, nullptr), Error);
  EXPECT_THROW(comm->all_gather(bytes, std::span(bytes).first(2), nullptr), Error);
}

}  // namespace
}  // namespace wan::comm
