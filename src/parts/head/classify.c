/* Classification heads. The official PoolFormer normalises the map and then pools; timm pools first and normalises the pooled
   vector: with the same weights the logits differ by 75 %, so the order is part of the file. */
#include "parts/parts.h"

static wf_id classifier(wf_graph *g, wf_id pooled, const wf_head *head) {
    if (head->classes == 0 && wf_graph_stored_rows(g, "head.weight") != 0) {
        return wf_graph_fail(g, WF_E_FORMAT, "class_count", "the metadata say that there is no classifier, but the file holds "
                             "\"head.weight\"; convert the checkpoint again");
    }
    return head->classes != 0 ? wf_node_linear(g, pooled, "head", head->classes, true) : pooled;
}

wf_id wf_head_norm_pool(wf_graph *g, wf_id x, const wf_head *head) {
    x = wf_norm(g, x, "norm", head->norm);
    return classifier(g, wf_node_segment_mean(g, x, "pool", head->first, head->count), head);
}

wf_id wf_head_pool_norm(wf_graph *g, wf_id x, const wf_head *head) {
    x = wf_node_segment_mean(g, x, "pool", head->first, head->count);
    return classifier(g, wf_norm(g, x, "norm", head->norm), head);
}

/* DeiT: one classifier reads the class token, another the distillation token behind it; their mean is the answer. */
wf_id wf_head_distilled(wf_graph *g, wf_id x, const wf_head *head) {
    x = wf_norm(g, x, "norm", head->norm);
    wf_id a = wf_node_linear(g, wf_node_segment_mean(g, x, "pool", 0, 1), "head", head->classes, true);
    wf_id b = wf_node_linear(g, wf_node_segment_mean(g, x, "pool_dist", 1, 1), "head_dist", head->classes, true);
    return wf_node_average(g, a, b, "mean_head");
}
