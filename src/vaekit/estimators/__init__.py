"""The library's faces for others' conventions: scikit-learn's estimators, and PyOD's detectors. Callers of all the rest."""
