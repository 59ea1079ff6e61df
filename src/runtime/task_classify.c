/* Classification: the k best classes of one row of logits. Softmax over all classes with the maximum subtracted, summed in
   double, or a sigmoid for each (1 / (1 + e^−x); they rise with the logits, so the order is the same); the exponential is the kernels'
   own, so that scores are the same on every platform. */
#include "kernels/simd128/vmath.h"
#include "wasmformer.h"

static bool better(const float *logits, uint32_t a, uint32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
}

static double sigmoid(float x) {
    double e = (double)wf_exp_f32(x > 0 ? -x : x); /* never above 1 */
    return x > 0 ? 1 / (1 + e) : e / (1 + e);
}

uint32_t wf_classify_top(const float *logits, uint32_t n, uint32_t k, wf_scores scores, wf_class_score *out) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) { /* insertion into a list of at most k */
        uint32_t at = count < k ? count : k;
        while (at > 0 && better(logits, i, out[at - 1].index)) {
            at--;
        }
        if (at >= k) {
            continue;
        }
        count += count < k;
        for (uint32_t j = count - 1; j > at; j--) {
            out[j] = out[j - 1];
        }
        out[at].index = i;
    }
    double sum = 0;
    float best = count > 0 ? logits[out[0].index] : 0;
    for (uint32_t i = 0; i < n && scores == WF_SCORES_SOFTMAX && count > 0; i++) {
        sum += (double)wf_exp_f32(logits[i] - best);
    }
    for (uint32_t j = 0; j < count; j++) {
        float v = logits[out[j].index];
        out[j].score = scores == WF_SCORES_RAW       ? v
                       : scores == WF_SCORES_SIGMOID ? (float)sigmoid(v)
                                                     : (float)((double)wf_exp_f32(v - best) / sum);
    }
    return count;
}

wf_status wf_classify_check(const float *logits, uint32_t n, wf_error *err) {
    for (uint32_t i = 0; i < n; i++) {
        if (!(logits[i] - logits[i] == 0)) { /* infinities and NaN */
            return wf_fail(err, WF_E_FORMAT, "classify", -1,
                           "the model gives no finite score for class %u, so nothing can be said about this picture; its "
                           "weights or metadata are damaged, or the input holds NaN", i);
        }
    }
    return WF_OK;
}
