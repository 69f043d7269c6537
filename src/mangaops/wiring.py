"""The composition root: settings to stores, predictors and recipes."""
