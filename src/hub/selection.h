#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "hub/source.h"

namespace wan::hub {

/// The files of a repository that wan reads (see io::open_checkpoint): transformers, VAE, text encoder, everything of
/// the tokenizer, and the folder's own defaults (generation.json).
/// A repository in the layout of diffusers' pipelines is one that has model_index.json.
/// Throws unsupported, with what is missing, if the repository is in neither layout.
std::vector<RemoteFile> select_checkpoint_files(const std::vector<RemoteFile>& files, const std::string& repo);

}  // namespace wan::hub
