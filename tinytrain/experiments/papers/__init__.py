"""The papers' tables: their files, scaling, cost, results beside the papers' figures, and charts."""
