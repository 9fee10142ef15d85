"""What is kept of the annotation of a data set: samples, expressions, who has which sample, answers, drafts."""
