"""What people and other programs look at: records in, one file per format out. Imports result types only."""
