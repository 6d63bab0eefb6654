// SPDX-License-Identifier: Apache-2.0
#include "core/layer_table.h"

#include <algorithm>

#include "core/error.h"
#include "core/store_survey.h"

namespace overlayd {

Layer::Layer(LayerId layer_id, std::string link_name, std::shared_ptr<Layer> parent_layer,
             std::string what_is_damaged)
    : id(std::move(layer_id)),
      link(std::move(link_name)),
      parent(std::move(parent_layer)),
      depth(parent ? parent->depth + 1 : 0),
      damage(std::move(what_is_damaged)) {}

std::vector<const Layer*> Layer::chain() const {
  std::vector<const Layer*> layers;
  for (const Layer* layer = this; layer != nullptr; layer = layer->parent.get()) {
    layers.push_back(layer);
  }
  return layers;
}

std::vector<std::string> Layer::links() const {
  std::vector<std::string> names;
  for (const Layer* layer : chain()) names.push_back(layer->link);
  return names;
}

LayerTable::Claim LayerTable::claim(const LayerId& id) {
  std::unique_lock lock(claims_mutex_);
  claim_ended_.wait(lock, [&] { return !claimed_.contains(id.str()); });
  claimed_.insert(id.str());
  return {*this, id.str()};
}

LayerTable::Claim::~Claim() {
  {
    const std::lock_guard lock(table_.claims_mutex_);
    table_.claimed_.erase(id_);
  }
  table_.claim_ended_.notify_all();
}

std::vector<std::shared_ptr<Layer>> LayerTable::load(int home, Observer& observer) {
  const Survey survey = survey_store_by_record(home);
  const size_t count = survey.layers.size();
  if (count > 0) {
    observer.note(NoteLevel::Info, "found " + std::to_string(count) + " layers, and read " +
                                       std::to_string(count - survey.as_recorded) + " of them");
  }
  mend_store(home, survey, observer);
  for (const Finding& finding : survey.findings) {
    if (finding.repair) continue;
    observer.note(NoteLevel::Warning, finding.layer.empty() ? finding.what
                                                            : "layer " + quoted(finding.layer) +
                                                                  " is damaged: " + finding.what);
  }
  std::vector<std::shared_ptr<Layer>> made;
  made.reserve(survey.layers.size());
  for (const SurveyedLayer& layer : survey.layers) {
    made.push_back(make_layer(layer, layer.parent ? made[*layer.parent] : nullptr));
  }
  // What a damaged layer lies on is not known.
  const bool all_is_known = std::ranges::all_of(
      survey.layers, [](const SurveyedLayer& layer) { return layer.damage.empty(); });
  std::vector<std::shared_ptr<Layer>> over;
  const std::unique_lock lock(mutex_);
  layers_.clear();
  layers_.reserve(made.size());
  for (auto at = made.rbegin(); at != made.rend(); ++at) {
    std::shared_ptr<Layer>& layer = *at;
    if (!layer->removed) {
      layers_.emplace(layer->id.str(), std::move(layer));
    } else if (layer->children == 0 && all_is_known) {
      if (layer->parent) --layer->parent->children;
      over.push_back(std::move(layer));
    }
  }
  return over;
}

std::shared_ptr<Layer> LayerTable::make_layer(const SurveyedLayer& found,
                                              std::shared_ptr<Layer> parent) {
  if (parent) ++parent->children;
  auto layer =
      std::make_shared<Layer>(found.id, found.record.link, std::move(parent), found.damage);
  layer->committed = found.record.committed;
  layer->removed = layer->lingers = found.record.removed;
  layer->unfinished = found.record.partial;
  layer->size = found.record.size;
  layer->size_recorded = layer->size.has_value();
  layer->has_digests = found.record.has_digests;
  return layer;
}

std::shared_ptr<Layer> LayerTable::find(const LayerId& id) const { return find(id.str()); }

std::shared_ptr<Layer> LayerTable::find(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto found = layers_.find(name);
  return found == layers_.end() ? nullptr : found->second;
}

void LayerTable::insert(std::shared_ptr<Layer> layer) {
  const std::unique_lock lock(mutex_);
  layers_[layer->id.str()] = std::move(layer);
}

void LayerTable::erase(const std::shared_ptr<Layer>& layer) {
  const std::unique_lock lock(mutex_);
  const auto found = layers_.find(layer->id.str());
  if (found != layers_.end() && found->second == layer) layers_.erase(found);
}

std::vector<std::shared_ptr<Layer>> LayerTable::all() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::shared_ptr<Layer>> out;
  out.reserve(layers_.size());
  for (const auto& [id, layer] : layers_) out.push_back(layer);
  return out;
}

size_t LayerTable::size() const {
  const std::shared_lock lock(mutex_);
  return layers_.size();
}

}  // namespace overlayd
