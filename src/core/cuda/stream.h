#pragma once
#include "core/cuda/check.h"
#include "core/cuda/handle.h"

namespace wan::cuda {

/// A queue of work on the current device that does not wait for the default stream.
class Stream {
 public:
  Stream() {
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    handle_ = Handle<cudaStream_t, cudaStreamDestroy>(stream);
  }
  cudaStream_t get() const noexcept { return handle_.get(); }
  void wait() const { check(cudaStreamSynchronize(get())); }

 private:
  Handle<cudaStream_t, cudaStreamDestroy> handle_;
};

/// A point in a stream's work. With `timed` its distance to another event can be read.
class Event {
 public:
  explicit Event(bool timed = false) {
    cudaEvent_t event = nullptr;
    check(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming));
    handle_ = Handle<cudaEvent_t, cudaEventDestroy>(event);
  }
  void record(cudaStream_t stream) { check(cudaEventRecord(handle_.get(), stream)); }
  /// On the host; an event that was never recorded does not wait.
  void wait() const { check(cudaEventSynchronize(handle_.get())); }
  /// Work that `stream` gets from now on waits; an event that was never recorded does not hold it.
  void hold(cudaStream_t stream) const { check(cudaStreamWaitEvent(stream, handle_.get(), 0)); }
  /// Both must be timed and over.
  float milliseconds_since(const Event& start) const {
    float ms = 0;
    check(cudaEventElapsedTime(&ms, start.handle_.get(), handle_.get()));
    return ms;
  }

 private:
  Handle<cudaEvent_t, cudaEventDestroy> handle_;
};

}  // namespace wan::cuda
