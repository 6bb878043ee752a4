#pragma once
#include <algorithm>
#include <deque>
#include <memory>
#include <utility>

#include "comm/communicator.h"
#include "core/cuda/check.h"
#include "core/cuda/stream.h"

namespace wan::test {

/// A communicator of GPUs for tests whose buffers are the host's: copies them there and back around each call.
class ThroughDevice final : public comm::Communicator {
 public:
  explicit ThroughDevice(std::unique_ptr<comm::Communicator> inner) : inner_(std::move(inner)) {}

  int rank() const noexcept override { return inner_->rank(); }
  int size() const noexcept override { return inner_->size(); }
  std::unique_ptr<comm::Communicator> split(int colour) override {
    return std::make_unique<ThroughDevice>(inner_->split(colour));
  }
  void all_to_all(std::span<const std::byte> from, std::span<std::byte> to, void*) override {
    const Copy in(from.data(), from.size()), out(to.data(), to.size());
    inner_->all_to_all(in.bytes(), out.bytes(), stream_.get());
    fetch(out, to);
  }
  void all_gather(std::span<const std::byte> from, std::span<std::byte> to, void*) override {
    const Copy in(from.data(), from.size()), out(to.data(), to.size());
    inner_->all_gather(in.bytes(), out.bytes(), stream_.get());
    fetch(out, to);
  }
  void all_reduce(std::span<float> values, comm::Reduction reduction, void*) override {
    const Copy both(values.data(), values.size_bytes());
    inner_->all_reduce({reinterpret_cast<float*>(both.bytes().data()), values.size()}, reduction, stream_.get());
    fetch(both, std::as_writable_bytes(values));
  }
  void send(std::span<const std::byte> bytes, int to, void*) override {
    sent_.emplace_back(bytes.data(), bytes.size());  // stays until the end: send() returns before it is sent
    inner_->send(sent_.back().bytes(), to, stream_.get());
  }
  void receive(std::span<std::byte> bytes, int from, void*) override {
    const Copy out(bytes.data(), bytes.size());
    inner_->receive(out.bytes(), from, stream_.get());
    fetch(out, bytes);
  }
  void barrier(void*) override {
    inner_->barrier(stream_.get());
    stream_.wait();
  }

 private:
  struct Copy {
    Copy(const void* host, size_t n) : size(n) {
      void* p = nullptr;
      cuda::check(cudaMalloc(&p, std::max<size_t>(n, 1)));
      memory = cuda::Handle<void*, cudaFree>(p);
      cuda::check(cudaMemcpy(p, host, n, cudaMemcpyHostToDevice));
    }
    std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory.get()), size}; }
    cuda::Handle<void*, cudaFree> memory;
    size_t size;
  };

  void fetch(const Copy& from, std::span<std::byte> to) {
    stream_.wait();
    cuda::check(cudaMemcpy(to.data(), from.bytes().data(), to.size(), cudaMemcpyDeviceToHost));
  }

  std::unique_ptr<comm::Communicator> inner_;
  cuda::Stream stream_;
  std::deque<Copy> sent_;
};

}  // namespace wan::test
