#pragma once
#include <gtest/gtest.h>

#include <vector>

#include "comm/communicator.h"
#include "core/error.h"

/// What every Communicator must do, whatever carries its bytes. Call it on every rank of a group at the same time.
namespace wan::comm {

inline std::vector<std::byte> pattern(int rank, int block, size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (size_t i = 0; i < bytes; ++i)
    out[i] = static_cast<std::byte>((static_cast<size_t>(rank * 31 + block * 7) + i) & 0xff);
  return out;
}

/// Block `rank` of a buffer of blocks of `bytes`.
inline std::vector<std::byte> block_of(const std::vector<std::byte>& buffer, int rank, size_t bytes) {
  const auto begin = buffer.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(rank) * bytes);
  return {begin, begin + static_cast<std::ptrdiff_t>(bytes)};
}

inline void check_all_to_all(Communicator& comm, size_t bytes) {
  const auto n = static_cast<size_t>(comm.size());
  std::vector<std::byte> send, receive(n * bytes, std::byte{0xee});
  for (int to = 0; to < comm.size(); ++to) {
    const auto block = pattern(comm.rank(), to, bytes);
    send.insert(send.end(), block.begin(), block.end());
  }
  comm.all_to_all(send, receive, nullptr);
  for (int from = 0; from < comm.size(); ++from)
    EXPECT_EQ(block_of(receive, from, bytes), pattern(from, comm.rank(), bytes)) << "block from " << from;
}

inline void check_all_gather(Communicator& comm, size_t bytes) {
  std::vector<std::byte> receive(static_cast<size_t>(comm.size()) * bytes, std::byte{0xee});
  comm.all_gather(pattern(comm.rank(), 0, bytes), receive, nullptr);
  for (int from = 0; from < comm.size(); ++from) EXPECT_EQ(block_of(receive, from, bytes), pattern(from, 0, bytes));
}

inline void check_all_reduce(Communicator& comm) {
  const auto rank = static_cast<float>(comm.rank()), size = static_cast<float>(comm.size());
  std::vector<float> values{rank, 1.f, -rank};
  comm.all_reduce(values, Reduction::sum, nullptr);
  EXPECT_EQ(values, (std::vector<float>{size * (size - 1) / 2, size, -size * (size - 1) / 2}));
  values = {rank, -rank};
  comm.all_reduce(values, Reduction::max, nullptr);
  EXPECT_EQ(values, (std::vector<float>{size - 1, 0.f}));
}

/// Each rank sends to its right neighbour, in order; sizes of zero are allowed.
inline void check_send_receive(Communicator& comm) {
  const int right = (comm.rank() + 1) % comm.size(), left = (comm.rank() + comm.size() - 1) % comm.size();
  for (const size_t bytes : {size_t{0}, size_t{5}, size_t{4096}}) {
    comm.send(pattern(comm.rank(), 1, bytes), right, nullptr);
    std::vector<std::byte> got(bytes, std::byte{0xee});
    comm.receive(got, left, nullptr);
    EXPECT_EQ(got, pattern(left, 1, bytes));
  }
}

inline void check_split(Communicator& comm) {
  const auto half = comm.split(comm.rank() % 2);
  const int expected = comm.rank() % 2 == 0 ? (comm.size() + 1) / 2 : comm.size() / 2;
  EXPECT_EQ(half->size(), expected);
  EXPECT_EQ(half->rank(), comm.rank() / 2);
  check_all_gather(*half, 3);
}

inline void check_communicator(Communicator& comm) {
  ASSERT_GE(comm.rank(), 0);
  ASSERT_LT(comm.rank(), comm.size());
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{1000}}) {
    check_all_to_all(comm, bytes);
    check_all_gather(comm, bytes);
  }
  check_all_reduce(comm);
  check_send_receive(comm);
  comm.barrier(nullptr);
  check_split(comm);
}

}  // namespace wan::comm
