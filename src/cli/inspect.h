/* The two kinds of files that `inspect` describes. */
#ifndef WF_CLI_INSPECT_H
#define WF_CLI_INSPECT_H

#include "cli/cli.h"
#include "format/source.h"

/* Reads the header only, however large the file; of a split model those of all parts, which lie beside this one. A model of an
   unknown architecture is described too. */
wf_status wf_inspect_gguf(const wf_cli *cli, const char *path, const wf_file *file, bool tensors, wf_error *err);
wf_status wf_inspect_source(const wf_cli *cli, const char *name, const wf_file *file, wf_error *err);

#endif
