"""Who runs the cells of a study: processes that share its workdir, or the workers of Ray."""
