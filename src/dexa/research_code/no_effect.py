"""Keys of the research code's configurations that have no effect here, and why."""

VECTORS = ("aux_num_vectors", "num_aux_vectors")  # the second is what older files call it
HEAD_LABELS = "aux_num_hlp_vectors"

_WHY = {
    "the command line names it": "dataset seed",
    "counted from the data": "num_labels num_points vocabulary_dims label_padding_index",
    "the encoder itself says it": "embedding_dims feature_type padding_idx",
    "documents and labels share one encoder": "share_weights",
    "labels are trained as they are, none are merged or dropped": (
        "surrogate_method surrogate_threshold surrogate_mapping keep_invalid"
    ),
    "files are found by their standard names": (
        "trn_feat_fname tst_feat_fname lbl_feat_fname "
        "trn_label_fname tst_label_fname trn_filter_fname tst_filter_fname"
    ),
    "validation documents are held out from training, test files are not touched": (
        "val_feat_fname val_label_fname val_filter_fname"
    ),
    "label search, classifiers and their fusion are always computed": (
        "eval_method inference_method get_only"
    ),
    "predictions are always written": "save_predictions",
    "the model is always written": "save_intermediate",
    "the margin loss over hard negatives is the only one": "loss",
    "negatives are always weighed by how hard they are": "loss_agressive",
    "similarity is always the cosine": "metric normalize",
    "AdamW trains the encoder, row-wise Adam the classifiers": "optim",
    "the learning rate grows in the warm-up, then falls linearly": "dlr_factor dlr_step",
    "the encoder starts from pretrained weights, classifiers from label embeddings": "init",
    "batches are of documents": "batch_type",
    "the section says what is trained": "model_type network_type model_method",
    "negatives come from the batch": (
        "sampling_type ns_method ns_dynamic shortlist_method use_shortlist "
        "use_intermediate_for_shorty"
    ),
    "the embedding memory is always used": "sampling_asynchronous sampling_async",
    "threads and workers follow from the machine": "sampling_threads ann_threads num_workers",
    "precision follows from the device": "use_amp",
    "searches take no such arguments": "ann_method efC efS M num_centroids",
    "++ in the type says that the encoder is trained on": "freeze_encoder freeze_intermediate",
    "one positive a document is drawn": "loss_num_positives",
    "the fusion's weight stands in the global section": "beta",
    "only the encoder stage is validated on its way": "validate validate_after",
    "the method has no auxiliary vectors": f"{HEAD_LABELS} {' '.join(VECTORS)}",
}
NO_EFFECT = {key: reason for reason, keys in _WHY.items() for key in keys.split()}
