// The zip archive with a pickle that torch.save writes (torch/serialization.py, APPNOTE.TXT 6.3.10 sections 4.3
// to 4.5).
#include <zlib.h>

#include "core/checked.h"
#include "core/error.h"
#include "io/printable.h"
#include "io/tensor_stream.h"

namespace wan::io {
namespace {

constexpr int64_t alignment = 64;
constexpr int64_t largest_member = 0xfffffffe;
constexpr uint16_t flags = 0x0808;  // sizes and checksum behind the data; UTF-8 names

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// ---- The pickle: OrderedDict of torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, False, {}) ----

void put_int(std::string& out, int64_t value) {
  if (value >= 0 && value < 256) {
    out += 'K';
    put(out, static_cast<uint8_t>(value));
  } else {
    out += "\x8a\x08";  // LONG1 of eight bytes
    put(out, value);
  }
}

void put_text(std::string& out, std::string_view text) {
  out += 'X';
  put(out, static_cast<uint32_t>(text.size()));
  out += text;
}

void put_global(std::string& out, std::string_view module, std::string_view name) {
  out += fmt::format("c{}\n{}\n", module, name);
}

void put_tuple(std::string& out, std::span<const int64_t> values) {
  out += '(';
  for (const int64_t v : values) put_int(out, v);
  out += 't';
}

void put_empty_dict(std::string& out) {
  put_global(out, "collections", "OrderedDict");
  out += ")R";
}

const char* storage_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return "FloatStorage";
    case DType::bf16: return "BFloat16Storage";
    case DType::f16: return "HalfStorage";
    case DType::f64: return "DoubleStorage";
    case DType::i64: return "LongStorage";
    case DType::i32: return "IntStorage";
    case DType::u8: return "ByteStorage";
  }
  return "?";
}

std::vector<int64_t> row_major_strides(std::span<const int64_t> shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i > 1; --i) strides[i - 2] = strides[i - 1] * std::max<int64_t>(shape[i - 1], 1);
  return strides;
}

std::string pickle_of(std::span<const TensorCopy> tensors) {
  std::string out = "\x80\x02";
  put_empty_dict(out);
  out += '(';
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorCopy& t = tensors[i];
    put_text(out, t.name);
    put_global(out, "torch._utils", "_rebuild_tensor_v2");
    out += "((";
    put_text(out, "storage");
    put_global(out, "torch", storage_type(t.dtype));
    put_text(out, std::to_string(i));
    put_text(out, "cpu");
    put_int(out, t.from->numel());
    out += "tQ";
    put_int(out, 0);
    put_tuple(out, t.from->shape);
    put_tuple(out, row_major_strides(t.from->shape));
    out += '\x89';
    put_empty_dict(out);
    out += "tR";
  }
  return out + "u.";
}

// ---- The archive ----

class ZipStream {
 public:
  explicit ZipStream(const ByteSink& sink) : sink_(sink) {}

  void add(const std::string& name, const std::function<void(const ByteSink&)>& write) {
    Member member{.name = "archive/" + name, .offset = at_};
    const int64_t extra_from = at_ + 30 + static_cast<int64_t>(member.name.size()) + 4;
    const int64_t padding = round_up(extra_from, alignment) - extra_from;
    std::string head = "PK\x03\x04";
    put_versions_and_sizes(head, {}, member);
    put(head, static_cast<uint16_t>(4 + padding));
    head += member.name;
    head += "FB";  // torch's own field for padding
    put(head, static_cast<uint16_t>(padding));
    head.append(static_cast<size_t>(padding), 'Z');
    give(head);
    const int64_t begin = at_;
    write([&](std::span<const std::byte> bytes) {
      member.crc = static_cast<uint32_t>(
          crc32_z(member.crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
      give(bytes);
    });
    member.size = at_ - begin;
    std::string descriptor = "PK\x07\x08";
    put_sizes(descriptor, member);
    give(descriptor);
    members_.push_back(std::move(member));
  }

  void add(const std::string& name, std::string_view content) {
    add(name, [&](const ByteSink& sink) { sink(std::as_bytes(std::span(content))); });
  }

  // The directory. The zip64 records are always there: it is the simplest way to be right beyond 4 GB.
  void finish() {
    const int64_t start = at_;
    for (const Member& m : members_) give(directory_entry(m));
    const int64_t bytes = at_ - start, end64 = at_;
    const auto count = static_cast<uint64_t>(members_.size());
    std::string end = "PK\x06\x06";
    put(end, uint64_t{44});
    put(end, uint32_t{45 | (45 << 16)});
    put(end, uint64_t{0});
    put(end, count);
    put(end, count);
    put(end, static_cast<uint64_t>(bytes));
    put(end, static_cast<uint64_t>(start));
    end += "PK\x06\x07";
    put(end, uint32_t{0});
    put(end, static_cast<uint64_t>(end64));
    put(end, uint32_t{1});
    end += "PK\x05\x06";
    put(end, uint32_t{0});
    put(end, uint32_t{0xffffffff});  // 16 bits twice
    put(end, uint32_t{0xffffffff});
    put(end, uint32_t{0xffffffff});
    put(end, uint16_t{0});
    give(end);
  }

 private:
  struct Member {
    std::string name;
    int64_t offset = 0;
    int64_t size = 0;
    uint32_t crc = 0;
  };

  static void put_sizes(std::string& out, const Member& m) {
    put(out, m.crc);
    put(out, static_cast<uint32_t>(m.size));
    put(out, static_cast<uint32_t>(m.size));
  }
  // From "version needed" to the length of the name; `known` is empty in a local header.
  static void put_versions_and_sizes(std::string& out, const Member& known, const Member& named) {
    put(out, uint16_t{45});
    put(out, flags);
    put(out, uint16_t{0});           // stored
    put(out, uint32_t{0x00210000});  // 1980-01-01: equal content gives equal bytes
    put_sizes(out, known);
    put(out, static_cast<uint16_t>(named.name.size()));
  }
  static std::string directory_entry(const Member& m) {
    std::string out = "PK\x01\x02";
    put(out, uint16_t{45});
    put_versions_and_sizes(out, m, m);
    put(out, uint16_t{12});  // of the extra field
    out.append(10, '\0');
    put(out, uint32_t{0xffffffff});
    out += m.name;
    put(out, uint16_t{1});
    put(out, uint16_t{8});
    put(out, static_cast<uint64_t>(m.offset));
    return out;
  }

  void give(std::span<const std::byte> bytes) {
    sink_(bytes);
    at_ += static_cast<int64_t>(bytes.size());
  }
  void give(const std::string& text) { give(std::as_bytes(std::span(text))); }

  const ByteSink& sink_;
  int64_t at_ = 0;
  std::vector<Member> members_;
};

}  // namespace

void stream_torch_file(std::span<const TensorCopy> tensors, const ByteSink& sink) {
  for (const TensorCopy& t : tensors)
    require(t.nbytes() <= largest_member, ErrorCode::unsupported,
            "[convert] tensor {} has {}; a .pth file takes less than 4 GiB a tensor here: convert to bf16",
            printable(t.name), human_bytes(t.nbytes()));
  ZipStream zip(sink);
  zip.add("data.pkl", pickle_of(tensors));
  zip.add("byteorder", "little");
  for (size_t i = 0; i < tensors.size(); ++i)
    zip.add(fmt::format("data/{}", i), [&](const ByteSink& out) { stream_tensor(tensors[i], out); });
  zip.add("version", "3\n");
  zip.finish();
}

int64_t torch_file_bytes(std::span<const TensorCopy> tensors) {
  constexpr int64_t member_overhead = 1024, rest = 4096;  // headers, padding, the pickle's call
  int64_t bytes = rest;
  for (const TensorCopy& t : tensors) bytes += t.nbytes() + member_overhead + 4 * static_cast<int64_t>(t.name.size());
  return bytes;
}

}  // namespace wan::io
