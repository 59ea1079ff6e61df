/* Accuracy over a folder of pictures sorted into one sub-folder a class. */
#ifndef WF_CLI_EVALUATE_H
#define WF_CLI_EVALUATE_H

#include "cli/picture.h"

/* Prints top-1 and top-5 accuracy. `classes` is a table (TSV) with the columns `label` (the class's index)
   and `wnid` (its folder), or NULL: then folders are named by label or by index. Returns the exit code. */
int wf_evaluate(wf_classifier *c, const char *folder, const char *classes);

#endif
