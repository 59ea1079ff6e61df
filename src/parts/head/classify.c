/* Classification heads. The official PoolFormer normalises the map and then pools; timm pools first and normalises the pooled
   vector: with the same weights the logits differ by 75 %, so the order is part of the file. */
#include "parts/parts.h"

static void answer(wf_graph *g, wf_id x) { wf_graph_output(g, "output", "nc", x); }

static void classifier(wf_graph *g, wf_id pooled, const wf_head *head) {
    if (head->classes == 0 && wf_graph_stored_rows(g, "head.weight") != 0) {
        wf_graph_fail(g, WF_E_FORMAT, "class_count", "the metadata say that there is no classifier, but the file holds \"head.weight\"; "
                      "convert the checkpoint again");
        return;
    }
    answer(g, head->classes != 0 ? wf_node_linear(g, pooled, "head", head->classes, true) : pooled);
}

void wf_head_norm_pool(wf_graph *g, wf_id x, const wf_head *head) {
    x = wf_norm(g, x, "norm", head->norm);
    classifier(g, wf_node_segment_mean(g, x, "pool", head->first, head->count), head);
}

void wf_head_pool_norm(wf_graph *g, wf_id x, const wf_head *head) {
    x = wf_node_segment_mean(g, x, "pool", head->first, head->count);
    classifier(g, wf_norm(g, x, "norm", head->norm), head);
}

/* DeiT: one classifier reads the class token, another the distillation token behind it; their mean is the answer. */
void wf_head_distilled(wf_graph *g, wf_id x, const wf_head *head) {
    x = wf_norm(g, x, "norm", head->norm);
    wf_id a = wf_node_linear(g, wf_node_segment_mean(g, x, "pool", 0, 1), "head", head->classes, true);
    wf_id b = wf_node_linear(g, wf_node_segment_mean(g, x, "pool_dist", 1, 1), "head_dist", head->classes, true);
    answer(g, wf_node_average(g, a, b, "mean_head"));
}

/* SiT (arXiv 2104.03602): an MLP reads the class token and the mean of the patches side by side. */
void wf_head_concat(wf_graph *g, wf_id x, const wf_head *head) {
    x = wf_norm(g, x, "norm", head->norm);
    wf_id token = wf_node_segment_mean(g, x, "pool", 0, 1);
    wf_id mean = wf_node_segment_mean(g, x, "pool_patches", head->first, head->count);
    wf_id y = wf_node_linear(g, wf_node_concat(g, token, mean, "pooled"), "head_hidden", head->hidden, true); /* [n, 2·width] → */
    classifier(g, wf_node_gelu(g, y, "head_act"), head);
}
